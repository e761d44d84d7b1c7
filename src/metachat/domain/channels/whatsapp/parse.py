"""What an update of the WhatsApp Cloud API says, in the words of the channel contract. Pure."""

from typing import Any

import msgspec

from metachat.domain.channels.contract import Arrival, Notice, OtherNumber, Progress, Step, Unparsed
from metachat.domain.channels.whatsapp.messages import message_of
from metachat.domain.channels.whatsapp.reading import Object, moment, part, parts, text
from metachat.domain.channels.whatsapp.splitting import number_of
from metachat.foundation.ids import ChannelId

_STEPS: dict[str, Step] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "played", "failed": "failed",
    # A person deleted what we sent, or Meta warns that it was not understood: neither is a step.
}  # fmt: skip


def parse(payload: bytes, channel: ChannelId, phone_number_id: str) -> list[Arrival]:
    """Understand one update; raises Unparsed with a reason, OtherNumber.

    phone_number_id "" accepts every number.
    """
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unparsed(f"no JSON: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise Unparsed("no object")
    arrivals = [
        arrival
        for entry in parts(document, "entry")
        for change in parts(entry, "changes")
        for arrival in _of_change(change, channel, phone_number_id)
    ]
    if not arrivals:
        raise Unparsed("holds no update")
    return arrivals


def _of_change(change: Object, channel: ChannelId, phone_number_id: str) -> list[Arrival]:
    field, value = text(change, "field"), part(change, "value")
    if field != "messages":
        return [Notice(channel, _notice(field), {"field": field, **bounded(value)})]
    number = number_of(value)
    if number and phone_number_id and number != phone_number_id:
        raise OtherNumber(f"for number {number[:40]}")
    arrivals: list[Arrival] = [message_of(item, value, channel) for item in parts(value, "messages")]
    arrivals += [_progress(item, channel) for item in parts(value, "statuses")]
    arrivals += [
        Notice(channel, "account", {"field": "errors", "error": _error(item)})
        for item in parts(value, "errors")
    ]
    return arrivals


def _notice(field: str) -> Any:
    if field.startswith(("message_template", "template_")):
        return "template"
    if field:
        return "account"
    raise Unparsed("a change without a field")


def _progress(item: Object, channel: ChannelId) -> Progress:
    id, name = text(item, "id"), text(item, "status")
    if not id or len(id) > 300:
        raise Unparsed("a status without a message")
    if name not in _STEPS:
        raise Unparsed(f"unknown status {name[:40]!r}")
    errors = [_error(error) for error in parts(item, "errors")]
    detail = {"errors": errors[:5]} if errors else {}
    return Progress(channel, id, _STEPS[name], moment(item, "timestamp"), detail)


def _error(error: Object) -> dict[str, str]:
    told = text(part(error, "error_data"), "details") or text(error, "message", "details")
    return {"code": text(error, "code")[:20], "title": text(error, "title")[:200], "detail": told[:500]}


def bounded(value: Object) -> dict[str, Any]:
    """The plain members of a provider's object, cut to what an event may hold."""
    plain = [(str(name)[:60], item) for name, item in value.items() if isinstance(item, str | int | float)]
    return {
        name.replace("\x00", ""): item.replace("\x00", "")[:500] if isinstance(item, str) else item
        for name, item in plain[:30]
    }
