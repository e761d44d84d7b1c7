"""The usual webhook, one message or one status alone: named by the few members that tell, the rest unread."""

from typing import Literal

import msgspec

from metachat.domain.channels.inbox import Update, lane_of
from metachat.foundation.ids import ChannelId

_ID_LENGTH = 200
_STEP_LENGTH = 59


class _Message(msgspec.Struct):
    id: str
    sender: str = msgspec.field(default="", name="from")
    from_user_id: str = ""


class _Status(msgspec.Struct):
    id: str
    status: str
    timestamp: str
    recipient_id: str = ""
    recipient_user_id: str = ""


class _Value(msgspec.Struct):
    messages: list[_Message] = []
    statuses: list[_Status] = []
    errors: list[msgspec.Raw] = []


class _Change(msgspec.Struct):
    field: Literal["messages"]
    value: _Value


class _Entry(msgspec.Struct):
    changes: list[_Change]


class _Document(msgspec.Struct):
    entry: list[_Entry]


_decode = msgspec.json.Decoder(_Document).decode


def split(body: bytes, channel: ChannelId) -> tuple[Update] | None:
    """The one update of a plain webhook, as `splitting.split` names it; None for whatever is not so plain."""
    try:
        (entry,) = _decode(body).entry
        (change,) = entry.changes
        value = change.value
        if value.errors:
            return None
        (item,) = value.messages or value.statuses
    except (msgspec.MsgspecError, ValueError, RecursionError):  # also: none of them, or more than one
        return None
    if value.messages and value.statuses:
        return None
    return _named(item, body, channel)


def _named(item: _Message | _Status, body: bytes, channel: ChannelId) -> tuple[Update] | None:
    rest = ""
    if isinstance(item, _Status):
        kind, letter, sender = "status", "s", item.recipient_user_id or item.recipient_id
        rest = f":{item.status}:{item.timestamp}"
    else:
        kind, letter, sender = "message", "m", item.from_user_id or item.sender
    # A status or time of "" and whatever cannot be printed is named with more care.
    if not (0 < len(item.id) <= _ID_LENGTH and len(rest) <= _STEP_LENGTH):
        return None
    if not f"{item.id}{rest}{sender}".isprintable():
        return None
    key = f"whatsapp:{channel}:{letter}:{item.id}{rest}"
    return (Update(key, kind, lane_of(channel, sender), body),)
