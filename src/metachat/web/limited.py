"""How much one address, one tenant and one API key may ask of the platform, and how callers are told."""

import ipaddress
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from metachat.foundation.errors import problem
from metachat.foundation.rates import Rate, Rates, Standing, TooFast, headers
from metachat.web import problems

if TYPE_CHECKING:
    from metachat.foundation.settings import Settings

# Where a request keeps how its caller stands with the limits that it was counted against.
STANDINGS = "metachat.standings"

# Pages' files are many at once and cost nothing; whether we are ready is asked by machines, in all calm.
# The chat counts its visitors' addresses itself, and providers are known by their signatures.
_UNCOUNTED = ("static", "health", "metrics", "chat")


class Limited:
    """Wraps the whole application but for the providers' door."""

    def __init__(self, app: ASGIApp, rates: Rates, rate: Rate | None) -> None:
        """Let an address ask at this rate; None lets it ask as often as it likes."""
        self._app = app
        self._rates = rates
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        standings: list[Standing] = []
        scope[STANDINGS] = standings  # type: ignore[literal-required]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers(standings)]
            await send(message)

        try:
            self._count(scope, standings)
        except TooFast as refusal:
            await _refuse(refusal, scope["path"], answer)
            return
        await self._app(scope, receive, answer)

    def _count(self, scope: Any, standings: list[Standing]) -> None:
        client = scope.get("client")
        place = scope["path"].split("/", 2)[1]
        if self._rate is None or client is None or place in _UNCOUNTED or _is_here(client[0]):
            return
        count(self._rates, "address", self._rate, client[0], standings)


def standings_of(scope: Any) -> list[Standing]:
    """Where a request keeps how its caller stands."""
    return scope.setdefault(STANDINGS, [])


def count(rates: Rates, name: str, rate: Rate, key: str, standings: list[Standing]) -> None:
    """Use one of a limit, and keep how its caller stands, refused or not. Raises TooFast."""
    try:
        standings.append(rates.take(name, rate, key))
    except TooFast as refusal:
        standings.append(Standing(name, rate, 0, rate.window + refusal.facts["retry_after"]))
        raise


def per_second(number: int, seconds: int) -> Rate | None:
    """A rate of the settings, whose burst is what comes in so many seconds; None for no limit."""
    return Rate(number * seconds, number) if number else None


def of_addresses(settings: "Settings") -> Rate | None:
    """What one address may ask."""
    return per_second(settings.rate_per_address, 6)


def of_tenants(settings: "Settings") -> Rate | None:
    """What everybody who is signed in at one tenant may ask together, its keys as well."""
    return per_second(settings.rate_per_tenant, 10)


def of_keys(settings: "Settings") -> Rate | None:
    """What one API key may ask."""
    return per_second(settings.rate_per_key, 10)


def _is_here(address: str) -> bool:
    """Whether somebody on this very machine asks: behind a proxy, others bring their own address."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def _refuse(refusal: TooFast, path: str, send: Send) -> None:
    body = msgspec.json.encode(problem(refusal, path), enc_hook=str)
    named = [
        (b"content-type", problems.MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", problems.wait_of(refusal).encode()),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": named})
    await send({"type": "http.response.body", "body": body, "more_body": False})
