"""What people do with their phones."""

import asyncio
import base64
from typing import Any

from metachat.simulate import payloads
from metachat.simulate.deliveries import Update, change
from metachat.simulate.model import Account, Message, Phone, now, wamid
from metachat.simulate.weather import Invalid
from metachat.simulate.world import World

_MEDIA = ("image", "audio", "video", "document", "sticker")
_TEXT_LIMIT = 65_536


def says(world: World, account: Account, phone: Phone, said: dict[str, Any]) -> Message:
    """Send what a person wrote, showed or tapped; raises Invalid.

    said has "type" (text by default) and what belongs to it: "text"; "media" (a file's id) with "caption" and
    "voice"; "latitude", "longitude", "name", "address"; "id" and "title" of a button or list row; "emoji"
    and "message" of a reaction; "message" and "text" of an edit, "message" of a delete. "reply_to" quotes.
    "message" and "body" of type "raw" are sent as they are, under "raw_type".
    """
    if world.deliveries.full:
        raise Invalid("too many webhooks wait already")
    kind = said.get("type", "text")
    made = _MADE.get(kind)
    if made is None:
        raise Invalid(f"type is one of {', '.join(_MADE)}")
    type, body, preview = made(world, said)
    message = Message(
        world.next_number(), said.get("wamid") or wamid(phone.wa_id), phone.wa_id, "phone", type, body, now(),
        "waiting", account.phone_number_id, reply_to=said.get("reply_to"), preview=preview,
    )  # fmt: skip
    phone.last_wrote = message.at
    _revise(world, message, kind, said)
    world.keep(message, phone)
    _deliver(world, account, phone, message, said)
    return message


def _deliver(world: World, account: Account, phone: Phone, message: Message, said: dict[str, Any]) -> None:
    def arrived(at: float, attempts: int) -> None:
        message.acknowledged_at, message.attempts = at, attempts
        world.advance(message, "delivered")

    more: dict[str, Any] = {}
    if said.get("forwarded"):
        more["context"] = {"forwarded": True}
    for name in ("referral", "errors"):
        if name in said:
            more[name] = said[name]
    if said.get("at") is not None:
        message.at = float(said["at"])
    written = payloads.of_message(account, phone, message, **more)
    world.deliveries.submit(Update(account, written, phone.wa_id, arrived))


def _revise(world: World, message: Message, kind: str, said: dict[str, Any]) -> None:
    target = world.find(str(said.get("message", "")))
    if kind == "reaction" and target is not None:
        target.reactions = {**target.reactions, "phone": said.get("emoji", "")}
        if not said.get("emoji"):
            target.reactions.pop("phone", None)
    elif kind == "delete" and target is not None:
        target.deleted = True
    elif kind == "edit" and target is not None:
        target.edited, target.preview = True, message.preview
        target.body = {"body": message.preview}
    if target is not None and kind in ("reaction", "delete", "edit"):
        world.tell({"event": "message", "message": target.shown()})


def _text(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    text = said.get("text")
    if not isinstance(text, str) or len(text) > _TEXT_LIMIT:
        raise Invalid(f"text is a string of up to {_TEXT_LIMIT:,} characters")
    return "text", {"body": text}, text


def _media(world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    file = world.files.find(str(said.get("media", "")))
    if file is None:
        raise Invalid("media is the id of a file that POST /_simulator/media gave")
    body: dict[str, Any] = {
        "id": file.id, "mime_type": file.media_type, "sha256": base64.b64encode(file.sha256).decode(),
    }  # fmt: skip
    if said.get("caption"):
        body["caption"] = said["caption"]
    if said["type"] == "document":
        body["filename"] = said.get("filename") or file.name or "document"
    if said["type"] == "audio":
        body["voice"] = bool(said.get("voice"))
    if said["type"] == "sticker":
        body["animated"] = bool(said.get("animated"))
    return said["type"], body, str(said.get("caption") or f"[{said['type']}]")


def _location(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    names = ("latitude", "longitude", "name", "address", "url")
    body = {name: said[name] for name in names if said.get(name) is not None}
    return "location", body, str(said.get("name") or f"{said.get('latitude')}, {said.get('longitude')}")


def _contacts(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    return "contacts", said.get("contacts", []), "[contact]"


def _button(world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    title = str(said.get("title") or said.get("id") or "")
    answered = world.find(str(said.get("reply_to", "")))
    if answered is not None and answered.type == "template":
        return "button", {"payload": said.get("id") or title, "text": title}, title
    reply = {"id": said.get("id") or title, "title": title}
    return "interactive", {"type": "button_reply", "button_reply": reply}, title


def _list(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    reply = {name: said[name] for name in ("id", "title", "description") if said.get(name)}
    return "interactive", {"type": "list_reply", "list_reply": reply}, str(said.get("title", ""))


def _reaction(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    body = {"message_id": said.get("message"), "emoji": said.get("emoji", "")}
    return "reaction", body, str(said.get("emoji", ""))


def _edit(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    inner = {"type": "text", "text": {"body": said.get("text", "")}}
    body = {"original_message_id": said.get("message"), "message": inner}
    return "edit", body, str(said.get("text", ""))


def _delete(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    return "revoke", {"original_message_id": said.get("message")}, "[deleted]"


def _unsupported(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    details = {"details": "Message type is currently not supported."}
    unknown = {"code": 131051, "title": "Message type unknown", "message": "Message type unknown"}
    said.setdefault("errors", [{**unknown, "error_data": details}])
    return "unsupported", {"type": said.get("of", "poll_creation")}, "[unsupported]"


def _raw(_world: World, said: dict[str, Any]) -> tuple[str, Any, str]:
    return str(said.get("raw_type", "text")), said.get("body"), "[raw]"


_MADE: dict[str, Any] = {
    "text": _text, **dict.fromkeys(_MEDIA, _media), "location": _location, "contacts": _contacts,
    "button": _button, "list": _list, "reaction": _reaction, "edit": _edit, "delete": _delete,
    "unsupported": _unsupported, "raw": _raw,
}  # fmt: skip


def changes_number(world: World, account: Account, phone: Phone, new: str) -> None:
    """Move a person to a new number, and tell the business as WhatsApp does."""
    body = f"User {phone.name} changed from {phone.wa_id} to {new}"
    message = Message(
        world.next_number(), wamid(phone.wa_id), phone.wa_id, "phone", "system",
        {"body": body, "wa_id": new, "type": "user_changed_number"}, now(), "waiting",
        account.phone_number_id, preview=body,
    )  # fmt: skip
    world.deliveries.submit(Update(account, payloads.of_message(account, phone, message), phone.wa_id))
    del world.phones[phone.wa_id]
    phone.wa_id = new
    world.phones[new] = phone
    world.tell({"event": "phone", "phone": phone.shown()})


def answers_in_the_app(world: World, account: Account, phone: Phone, text: str) -> Message:
    """Let somebody of the business write to a person in the WhatsApp Business app."""
    message = Message(
        world.next_number(), wamid(phone.wa_id), phone.wa_id, "business", "text", {"body": text}, now(),
        "sent", account.phone_number_id, preview=text,
    )  # fmt: skip
    world.keep(message, phone)
    world.deliveries.submit(Update(account, payloads.of_echo(account, message), phone.wa_id))
    return message


def tells(world: World, account: Account, field: str, value: dict[str, Any]) -> None:
    """Deliver any other update of an account: of templates, its quality, its review."""
    world.deliveries.submit(Update(account, change(field, value), account.waba_id))


async def burst(world: World, account: Account, given: dict[str, Any], progress: dict[str, Any]) -> None:
    """Write from many phones at a rate; "rate" a second, "count" in all, spread over "phones" from "first".

    "text" is what they say, with {n} for the number of the message and {phone} for who says it.
    """
    rate, count = float(given.get("rate", 10)), int(given.get("count", 100))
    first, phones = int(given.get("first", 385910000000)), int(given.get("phones", 10))
    text = str(given.get("text", "Question {n}"))
    if not (0 < rate <= 10_000 and 0 < count <= 200_000 and 0 < phones <= 50_000):
        raise Invalid("rate is up to 10,000, count up to 200,000, phones up to 50,000")
    loop = asyncio.get_running_loop()
    people = [world.add_phone(str(first + number)) for number in range(phones)]
    began = loop.time()
    for number in range(count):
        ahead = began + number / rate - loop.time()
        # Many a message is due within one tick of the clock.
        if ahead > 0.001 or number % 50 == 0:
            await asyncio.sleep(max(0.0, ahead))
        phone = people[number % phones]
        said = text.replace("{n}", str(number)).replace("{phone}", phone.wa_id)
        says(world, account, phone, {"text": said})
        progress["sent"] = number + 1
