"""How channels stand: their state, what last came, what waits, and what somebody should look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from metachat.domain.channels import health, updates
from metachat.domain.channels.actions import find, of_tenant
from metachat.domain.channels.health import Finding
from metachat.domain.channels.model import Channel
from metachat.foundation.ids import ChannelId
from metachat.foundation.scope import Scope


@dataclass(frozen=True, slots=True)
class Standing:
    """A channel and how it stands; last_update_at is up to a minute late, None when nothing ever came."""

    channel: Channel
    last_update_at: datetime | None
    held: int
    findings: tuple[Finding, ...]


async def standings(scope: Scope) -> list[Standing]:
    """Tell how each of the tenant's channels stands, oldest first."""
    return await _of(scope, await of_tenant(scope))


async def standing(scope: Scope, id: ChannelId) -> Standing:
    """Tell how a channel stands; raises ChannelNotFound."""
    [found] = await _of(scope, [await find(scope, id)])
    return found


async def _of(scope: Scope, channels: Sequence[Channel]) -> list[Standing]:
    ids = [channel.id for channel in channels]
    last, held = await health.last_update_of(scope, ids), await updates.count_held(scope, ids)
    findings = await health.open_findings(scope)
    return [
        Standing(
            channel=channel,
            last_update_at=last.get(channel.id),
            held=held.get(channel.id, 0) if channel.status == "paused" else 0,
            findings=tuple(finding for finding in findings if finding.subject == channel.id),
        )
        for channel in channels
    ]
