"""A channel: one door through which a tenant's customers write."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, TenantId

# "test" is the door of the tenant's own trials: `metachat ask`, the API's ask, the dashboard's test chat.
ChannelKind = Literal["webchat", "whatsapp", "messenger", "instagram", "test"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A tenant's channel; settings are read by the kind's own adapter."""

    tenant_id: TenantId
    id: ChannelId
    kind: ChannelKind
    name: str
    status: Literal["active", "paused"]
    settings: dict[str, Any]
    created_at: datetime


class ChannelNotFound(Refusal):
    """There is no such channel."""

    code, kind = "channel_not_found", Kind.NOT_FOUND


class ChannelPaused(Refusal):
    """This chat is paused at the moment; please come back later."""

    code, kind = "channel_paused", Kind.UNAVAILABLE
