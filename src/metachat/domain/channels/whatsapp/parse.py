"""What an update of the WhatsApp Cloud API says, in the words of the channel contract. Pure."""

from typing import Any

import msgspec

from metachat.domain.channels.contract import Arrival, Notice, OtherNumber, Progress, Revision, Step, Unparsed
from metachat.domain.channels.whatsapp import remedies
from metachat.domain.channels.whatsapp.content import error_of, errors_of
from metachat.domain.channels.whatsapp.messages import echo_of, message_of
from metachat.domain.channels.whatsapp.notices import notices_of
from metachat.domain.channels.whatsapp.reading import Object, chosen, flag, moment, part, parts, text
from metachat.domain.channels.whatsapp.splitting import ECHOES, number_of
from metachat.foundation.ids import ChannelId

_STEPS: dict[str, Step] = {
    "sent": "sent", "delivered": "delivered", "read": "read", "played": "played", "failed": "failed",
}  # fmt: skip
# How much of what we sent along comes back; ours is a UUID.
_CALLBACK = 200


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
    number = number_of(value)
    if number and phone_number_id and number != phone_number_id:
        raise OtherNumber(f"for number {number[:40]}")
    if field in ECHOES:
        return [echo_of(item, channel) for item in parts(value, "message_echoes")]
    if field != "messages":
        return list(notices_of(field, value, channel))
    arrivals: list[Arrival] = [message_of(item, value, channel) for item in parts(value, "messages")]
    arrivals += [_progress(item, channel) for item in parts(value, "statuses")]
    arrivals += [
        Notice(channel, "account", {"field": "errors", "error": error_of(item)})
        for item in parts(value, "errors")
    ]
    return arrivals


def _progress(item: Object, channel: ChannelId) -> Arrival:
    id, name = text(item, "id"), text(item, "status")
    if not id or len(id) > 300:
        raise Unparsed("a status without a message")
    at, phone = moment(item, "timestamp"), text(item, "recipient_id")
    if name == "deleted":
        person = text(item, "recipient_user_id") or phone
        if max(len(person), len(phone)) > 300:
            raise Unparsed("a status without a person")
        return Revision(channel, person, id, None, at, phone, by="business")
    if name == "warning":
        about = {"field": "warning", "message": id, "errors": errors_of(item)}
        return Notice(channel, "account", about)
    if name not in _STEPS:
        raise Unparsed(f"unknown status {name[:40]!r}")
    callback = text(item, "biz_opaque_callback_data")
    message = callback if len(callback) <= _CALLBACK else ""
    return Progress(channel, id, _STEPS[name], at, _about(item), message)


def _about(item: Object) -> dict[str, Any]:
    about: dict[str, Any] = {}
    if errors := errors_of(item):
        about["errors"] = errors
        if text(item, "status") == "failed":
            about["failed"] = remedies.failure(errors[0])
    if pricing := part(item, "pricing"):
        billable = {"billable": flag(pricing, "billable")} if "billable" in pricing else {}
        about["pricing"] = {**chosen(pricing, ("pricing_model", "category", "type")), **billable}
    return about
