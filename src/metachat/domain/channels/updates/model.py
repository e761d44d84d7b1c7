"""An update of the inbox as people look at it."""

import json
from dataclasses import dataclass
from datetime import datetime

from metachat.domain.channels.inbox.model import State, UpdateKind
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """One update; reason says why it had no effect. payload is None in lists."""

    id: int
    channel_id: ChannelId | None
    channel: str
    kind: UpdateKind
    state: State
    reason: str | None
    size: int
    received_at: datetime
    handled_at: datetime | None
    correlation_id: str | None
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why updates were kept, and how many for this."""

    reason: str
    kind: UpdateKind
    updates: int
    latest: datetime


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many updates are being understood again; more lie behind next_after unless it is None."""

    updates: int
    next_after: int | None


class UpdateNotFound(Refusal):
    """There is no such update."""

    code, kind = "update_not_found", Kind.NOT_FOUND


class UpdateWaits(Refusal):
    """This update is waiting to be understood already; if its channel is paused, resume it."""

    code, kind = "update_waits", Kind.CONFLICT


def readable(payload: bytes) -> str:
    """A payload for people: indented where it is JSON, otherwise its text with odd bytes written out."""
    text = payload.decode("utf-8", "backslashreplace")
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text
