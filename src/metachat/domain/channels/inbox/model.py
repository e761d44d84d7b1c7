"""One update of a provider, and one request that brought some."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from metachat.foundation.ids import ChannelId, TenantId

UpdateKind = Literal["message", "status", "template", "account", "unknown", "malformed"]
State = Literal["new", "parsed", "unparsed", "ignored"]

_NAME_LENGTH = 120


@dataclass(frozen=True, slots=True)
class Update:
    """One thing a provider tells, byte for byte or cut from a batch with what it needs to be understood.

    key is the same for every delivery of it. Updates of one lane are understood one after the other.
    error says why nobody needs to try (None: a worker will).
    """

    key: str
    kind: UpdateKind
    lane: str
    payload: bytes
    error: str | None = None

    def kept_as_bytes(self, reason: str) -> "Update":
        """The same, where the database refuses its names: kept under its hash, for a person to look at."""
        channel = self.lane.split(":")[1] if self.lane.count(":") else ""
        key = hashed_key("refused", self.payload)
        return replace(self, key=key, kind="malformed", lane=f"inbox:{channel[:36]}", error=reason)


@dataclass(frozen=True, slots=True)
class Post:
    """What one request brought; it is acknowledged as a whole, once all of it is stored."""

    channel_kind: str
    channel: ChannelId
    tenant: TenantId
    updates: tuple[Update, ...]
    correlation: str | None = None

    @property
    def size(self) -> int:
        """Bytes it holds in memory, about."""
        return sum(len(update.payload) + 500 for update in self.updates)


@dataclass(frozen=True, slots=True)
class Row:
    """An update in the inbox."""

    id: int
    channel_kind: str
    channel_id: ChannelId
    kind: UpdateKind
    payload: bytes
    correlation_id: str | None
    received_at: datetime


def hashed_key(prefix: str, payload: bytes) -> str:
    """Name an update that has no name of its own by its bytes."""
    return f"{prefix}:h:{hashlib.sha256(payload).hexdigest()}"


def lane_of(channel: ChannelId, sender: str = "") -> str:
    """Name the lane of a person's updates; without a person, of the channel's own."""
    if not sender:
        return f"inbox:{channel}"
    if len(sender) > _NAME_LENGTH or not sender.isprintable():
        sender = hashlib.sha256(sender.encode("utf-8", "surrogatepass")).hexdigest()
    return f"inbox:{channel}:{sender}"
