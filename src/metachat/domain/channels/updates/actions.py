"""The verbs of looking through the inbox."""

from collections.abc import Collection
from typing import Literal

from metachat.domain import accounts
from metachat.domain.channels import inbox
from metachat.domain.channels.updates import store
from metachat.domain.channels.updates.model import Reason, Replayed, UpdateNotFound, UpdateRow, UpdateWaits
from metachat.foundation.ids import ChannelId
from metachat.foundation.scope import Scope

# One transaction's worth: it marks them and adds a job for each of their lanes.
REPLAYED_AT_ONCE = 1_000
_REASONS = 50


async def list_updates(
    scope: Scope,
    *,
    limit: int,
    state: Literal["unparsed", "ignored"] = "unparsed",
    before: int | None = None,
    reason: str | None = None,
    kind: str | None = None,
) -> list[UpdateRow]:
    """List updates that had no effect, newest first, without their payloads."""
    values = {"tenant": scope.tenant, "before": before, "reason": reason, "kind": kind, "limit": limit}
    return [UpdateRow(**row) for row in await scope.db.all(store.LIST[state], **values)]


async def find(scope: Scope, id: int) -> UpdateRow:
    """Find one of the tenant's updates, with its payload; raises UpdateNotFound."""
    row = await scope.db.one(store.FIND, tenant=scope.tenant, id=id)
    if row is None:
        raise UpdateNotFound
    return UpdateRow(**row)


async def reasons(scope: Scope) -> list[Reason]:
    """Tell why updates were kept unparsed, the most frequent reason first."""
    rows = await scope.db.all(store.REASONS, tenant=scope.tenant, limit=_REASONS)
    return [Reason(**row) for row in rows]


async def replay(scope: Scope, id: int) -> UpdateRow:
    """Have an update understood again with today's parser; raises UpdateNotFound, UpdateWaits."""
    found = await find(scope, id)
    lane = await scope.db.value(store.REPLAY, id=id)
    if lane is None:
        raise UpdateWaits
    await inbox.ask_again(scope.db, lane, scope.tenant)
    await accounts.record_audit(scope, "update.replayed", target=str(id), reason=found.reason)
    return found


async def replay_all(scope: Scope, reason: str, *, after: int = 0) -> Replayed:
    """Have a step of the updates that were kept for a reason understood again, oldest first.

    The next step begins after next_after: what is not understood once more is not taken twice.
    """
    rows = await scope.db.all(store.REPLAY_ALL, reason=reason, after=after, most=REPLAYED_AT_ONCE)
    for lane in sorted({row["lane"] for row in rows}):
        await inbox.ask_again(scope.db, lane, scope.tenant)
    if rows:
        await accounts.record_audit(scope, "updates.replayed", target=reason[:200], updates=len(rows))
    full = len(rows) == REPLAYED_AT_ONCE
    return Replayed(len(rows), max(row["id"] for row in rows) if full else None)


async def count_held(scope: Scope, channels: Collection[ChannelId]) -> dict[ChannelId, int]:
    """Count the updates that wait for each of these channels."""
    rows = await scope.db.all(store.HELD, tenant=scope.tenant, channels=list(channels))
    return {row["channel_id"]: row["updates"] for row in rows}


async def wake_held(scope: Scope, channel: ChannelId) -> int:
    """Have everything understood that waits for a channel, each lane in its order; gives how many lanes."""
    rows = await scope.db.all(store.HELD_LANES, tenant=scope.tenant, channel=channel)
    for lane in sorted(row["lane"] for row in rows):
        await inbox.ask_again(scope.db, lane, scope.tenant)
    return len(rows)
