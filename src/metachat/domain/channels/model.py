"""A channel: one door through which a tenant's customers write."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, TenantId

# "test" is the door of the tenant's own trials: `metachat ask`, the API's ask, the dashboard's test chat.
ChannelKind = Literal["webchat", "whatsapp", "messenger", "instagram", "test"]


# People on a telephone write a question in several messages; nobody on a website waits for one that is done.
_QUIET: dict[ChannelKind, float] = {"whatsapp": 1.0, "messenger": 1.0, "instagram": 1.0}
LONGEST_QUIET = 30.0


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


def quiet_seconds(kind: ChannelKind, wanted: Any) -> float:
    """How long a customer is silent before their messages are answered together.

    wanted is the channel's own setting `quiet_seconds`; whatever is no number of seconds counts as none.
    """
    if isinstance(wanted, int | float) and not isinstance(wanted, bool) and 0 <= wanted <= LONGEST_QUIET:
        return float(wanted)
    return _QUIET.get(kind, 0.0)


class ChannelNotFound(Refusal):
    """There is no such channel."""

    code, kind = "channel_not_found", Kind.NOT_FOUND


class ChannelPaused(Refusal):
    """This chat is paused at the moment; please come back later."""

    code, kind = "channel_paused", Kind.UNAVAILABLE
