"""The control API under /_simulator/: phones, weather and counts, for the page, tests and benchmarks."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import msgspec

from metachat.simulate import phones
from metachat.simulate.http import Answer, Request, answer
from metachat.simulate.model import Account, Phone, new_account, now
from metachat.simulate.sending import report
from metachat.simulate.weather import Invalid
from metachat.simulate.world import World

_CHANGEABLE = ("subscribed", "grant", "quality_rating", "status", "verified_name", "scopes", "callback")
_PHONE = ("without_number", "reachable", "username")
_PAGE = 50_000

Route = Callable[..., Awaitable[Answer] | Answer]


class NotThere(Exception):
    """Nothing has this name here."""


class Control:
    """Answers the control API; unplug closes the listening socket for a while."""

    def __init__(self, world: World, unplug: Callable[[float], None]) -> None:
        self._world, self._unplug = world, unplug
        self._bursts: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            for method, path, route in _ROUTES:
                found = path.fullmatch(request.path)
                if found is not None and method == request.method:
                    result = route(self, request, *found.groups())
                    return result if isinstance(result, Answer) else await result
            raise NotThere
        except NotThere:
            return answer(
                {"error": "there is nothing of this name here; see `metachat simulate --help`"}, 404
            )
        except (Invalid, msgspec.DecodeError, ValueError, TypeError, KeyError) as error:
            return answer({"error": str(error) or type(error).__name__}, 400)

    def state(self, request: Request) -> Answer:
        """Everything but the messages."""
        world = self._world
        habits, rates = vars(world.habits), asdict(world.limits.rates)
        return answer({
            "accounts": [_public(account) for account in world.accounts.values()],
            "phones": len(world.phones), "number": world.number, "waiting": world.deliveries.waiting,
            "weather": asdict(world.chance.weather), "rules": [asdict(rule) for rule in world.chance.rules],
            "habits": habits, "rates": rates, "deliveries": asdict(world.deliveries.counts),
            "bursts": self._bursts, "templates": [one.shown() for one in world.templates],
        })  # fmt: skip

    def accounts(self, request: Request) -> Answer:
        """All accounts, with the secrets that a channel needs."""
        return answer([asdict(account) for account in self._world.accounts.values()])

    def add_account(self, request: Request) -> Answer:
        """Found another business."""
        account = new_account(str(request.json().get("name") or "Another business"))
        return answer(asdict(self._world.add_account(account)), 201)

    async def change_account(self, request: Request, number: str) -> Answer:
        """Change a business, or what its app is subscribed to."""
        account, given = self._world.account(number), request.json()
        greets = given.pop("handshake", True)
        callback = given.get("callback")
        if unknown := set(given) - set(_CHANGEABLE):
            raise Invalid(f"not known: {', '.join(sorted(unknown))}; known: {', '.join(_CHANGEABLE)}")
        if callback and not str(callback).startswith(("http://", "https://")):
            raise Invalid("callback is an http:// or https:// address")
        if callback and greets and not await self._world.deliveries.greet(account, str(callback)):
            raise Invalid(f"{callback} did not repeat the challenge: wrong address or verify token?")
        for name, value in given.items():
            setattr(account, name, tuple(value) if name == "scopes" else value)
        return answer(_public(account))

    def phones(self, request: Request) -> Answer:
        """Phones, those with the latest messages first."""
        limit = int(request.query.get("limit", "200"))
        found = [phone.shown() for _, phone in zip(range(limit), self._world.threads(), strict=False)]
        return answer(found)

    def add_phone(self, request: Request) -> Answer:
        """Add a phone, or change the one with this number."""
        given = request.json()
        more = {name: given[name] for name in _PHONE if name in given}
        phone = self._world.add_phone(str(given.get("phone", "")), str(given.get("name", ""))[:100], **more)
        return answer(phone.shown(), 201)

    def thread(self, request: Request, wa_id: str) -> Answer:
        """What one phone shows, oldest first."""
        limit = int(request.query.get("limit", "200"))
        return answer([message.shown() for message in list(self._phone(wa_id).thread)[-limit:]])

    def say(self, request: Request, wa_id: str) -> Answer:
        """Write as a person; makes the phone when it is new."""
        said = request.json()
        account = self._world.account(str(said.pop("account", "")))
        phone = self._world.phone(wa_id) or self._world.add_phone(wa_id)
        return answer(phones.says(self._world, account, phone, said).shown(), 201)

    def idle(self, request: Request, wa_id: str) -> Answer:
        """Let hours pass since a person last wrote: after 24 only templates reach them."""
        phone = self._phone(wa_id)
        phone.last_wrote = now() - float(request.json().get("hours", 25)) * 3_600
        return answer(phone.shown())

    def change_number(self, request: Request, wa_id: str) -> Answer:
        """Move a person to a new number."""
        given = request.json()
        phone, new = self._phone(wa_id), str(given.get("new", ""))
        if not new.isdigit() or not 5 <= len(new) <= 15 or new in self._world.phones:
            raise Invalid("new is a free phone number of 5 to 15 digits")
        phones.changes_number(self._world, self._world.account(given.get("account", "")), phone, new)
        return answer(phone.shown())

    def echo(self, request: Request, wa_id: str) -> Answer:
        """Answer a person from the WhatsApp Business app."""
        given = request.json()
        account, phone = self._world.account(given.get("account", "")), self._phone(wa_id)
        said = phones.answers_in_the_app(self._world, account, phone, str(given.get("text", "")))
        return answer(said.shown(), 201)

    def add_media(self, request: Request) -> Answer:
        """Keep a person's file, to be sent with a message."""
        account = self._world.account(request.query.get("account", ""))
        media_type = request.header(b"content-type") or "application/octet-stream"
        name = request.query.get("name", "")
        file = self._world.files.add(request.body, media_type, account.phone_number_id, name)
        return answer({"id": file.id}, 201)

    def media(self, request: Request, id: str) -> Answer:
        """Give a file's bytes, for the page."""
        file = self._world.files.find(id)
        if file is None:
            raise NotThere
        kind = file.media_type if file.media_type.startswith(("image/", "audio/", "video/")) else ""
        # A file is shown, never run: nothing but pictures, sounds and films has its own type.
        shown = kind if kind and "svg" not in kind else "application/octet-stream"
        return Answer(200, file.content, shown.encode("latin-1", "replace"))

    def listed(self, request: Request, side: str) -> Answer:
        """What phones heard ("arrivals") or sent ("sent") after a place in the order."""
        after, limit = int(request.query.get("after", "0")), int(request.query.get("limit", "10000"))
        found = self._world.since(after, "business" if side == "arrivals" else "phone", min(limit, _PAGE))
        return answer({"items": [message.shown() for message in found], "number": self._world.number})

    def weather(self, request: Request) -> Answer:
        """Change how webhooks travel."""
        self._world.chance.change(request.json())
        if not self._world.chance.weather.withheld:
            self._world.deliveries.release()
        self._changed()
        return answer(asdict(self._world.chance.weather))

    def add_rule(self, request: Request) -> Answer:
        """Let requests to the Graph API go wrong."""
        rule = self._world.chance.add(request.json())
        self._changed()
        return answer(asdict(rule), 201)

    def drop_rules(self, request: Request) -> Answer:
        """Let everything go right again."""
        self._world.chance.rules.clear()
        self._changed()
        return answer([])

    def habits(self, request: Request) -> Answer:
        """Change how soon statuses follow."""
        self._world.habits.change(request.json())
        self._changed()
        return answer(vars(self._world.habits))

    def rates(self, request: Request) -> Answer:
        """Change how many messages Meta takes."""
        given = request.json()
        if any(not isinstance(value, int | float) or value < 0 for value in given.values()):
            raise Invalid("rates are numbers")
        changed = replace(self._world.limits.rates, **given)
        if changed.number_per_second <= 0:
            raise Invalid("number_per_second is above 0")
        self._world.limits.change(changed)
        return answer(asdict(changed))

    def seed(self, request: Request) -> Answer:
        """Begin the dice anew."""
        self._world.chance.seed(int(request.json()["seed"]))
        return answer({})

    def burst(self, request: Request) -> Answer:
        """Write from many phones at a rate; the state tells how far it is."""
        given = request.json()
        account = self._world.account(str(given.get("account", "")))
        name = str(given.get("name") or len(self._bursts) + 1)[:60]
        progress: dict[str, Any] = {"sent": 0, "count": int(given.get("count", 100)), "error": None}
        self._bursts[name] = progress
        if len(self._bursts) > 100:
            self._bursts.pop(next(iter(self._bursts)))

        async def run() -> None:
            try:
                await phones.burst(self._world, account, given, progress)
            except (Invalid, ValueError, TypeError) as error:
                progress["error"] = str(error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return answer({"name": name}, 202)

    def step(self, request: Request, id: str) -> Answer:
        """Let a phone say that it read or played a message."""
        step = request.json().get("step", "read")
        message = self._world.find(id)
        if message is None or message.side != "business":
            raise NotThere
        if step not in ("delivered", "read", "played"):
            raise Invalid("step is delivered, read or played")
        report(self._world, message, step)
        return answer(message.shown())

    def unplug(self, request: Request) -> Answer:
        """Close the port for some seconds: whoever connects is refused, whoever is connected is cut."""
        seconds = float(request.json().get("seconds", 3))
        if not 0 < seconds <= 600:
            raise Invalid("seconds is above 0 and up to 600")
        self._unplug(seconds)
        # This connection ends by itself: cut, it would take the answer with it.
        return replace(answer({"seconds": seconds}), headers=[(b"connection", b"close")])

    def tell(self, request: Request) -> Answer:
        """Deliver any other update of an account."""
        given = request.json()
        account = self._world.account(str(given.get("account", "")))
        phones.tells(self._world, account, str(given["field"]), dict(given["value"]))
        return answer({}, 202)

    def _phone(self, wa_id: str) -> Phone:
        phone = self._world.phone(wa_id)
        if phone is None:
            raise NotThere
        return phone

    def _changed(self) -> None:
        self._world.tell({"event": "weather"})


def _public(account: Account) -> dict[str, Any]:
    """An account without its secrets."""
    hidden = ("app_secret", "access_token", "verify_token")
    return {name: value for name, value in asdict(account).items() if name not in hidden}


def _path(pattern: str) -> re.Pattern[str]:
    return re.compile("/_simulator/" + pattern)


_WHO = r"([\w.+-]{1,80})"
_ROUTES: tuple[tuple[str, re.Pattern[str], Route], ...] = (
    ("POST", _path(f"phones/{_WHO}/messages"), Control.say),
    ("GET", _path("(arrivals|sent)"), Control.listed),
    ("GET", _path("state"), Control.state),
    ("GET", _path("accounts"), Control.accounts),
    ("POST", _path("accounts"), Control.add_account),
    ("POST", _path(f"accounts/{_WHO}"), Control.change_account),
    ("GET", _path("phones"), Control.phones),
    ("POST", _path("phones"), Control.add_phone),
    ("GET", _path(f"phones/{_WHO}/thread"), Control.thread),
    ("POST", _path(f"phones/{_WHO}/idle"), Control.idle),
    ("POST", _path(f"phones/{_WHO}/number"), Control.change_number),
    ("POST", _path(f"phones/{_WHO}/app"), Control.echo),
    ("POST", _path("media"), Control.add_media),
    ("GET", _path(r"media/(\d{1,20})"), Control.media),
    ("POST", _path(r"messages/([\w.+/=-]{1,200})/step"), Control.step),
    ("POST", _path("weather"), Control.weather),
    ("POST", _path("rules"), Control.add_rule),
    ("DELETE", _path("rules"), Control.drop_rules),
    ("POST", _path("habits"), Control.habits),
    ("POST", _path("rates"), Control.rates),
    ("POST", _path("seed"), Control.seed),
    ("POST", _path("burst"), Control.burst),
    ("POST", _path("unplug"), Control.unplug),
    ("POST", _path("updates"), Control.tell),
)
