"""The job "inbox": what providers delivered becomes contacts, conversations, messages and statuses."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

import asyncpg

from metachat.domain import channels
from metachat.domain.channels import (
    Arrival,
    Channel,
    ChannelNotFound,
    Echo,
    Inbound,
    OtherNumber,
    Progress,
    Provider,
    Reaction,
    Revision,
    Unparsed,
    inbox,
)
from metachat.domain.channels.inbox import Row
from metachat.domain.channels.inbox.model import State
from metachat.domain.conversations.deliveries import tidying
from metachat.domain.conversations.effects import apply
from metachat.domain.conversations.late import Later
from metachat.foundation import redaction
from metachat.foundation.clock import now
from metachat.foundation.db import Database, DatabaseAway, Transaction
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import ChannelId
from metachat.foundation.log import bound, log
from metachat.foundation.queue import Job, enqueue, finish
from metachat.foundation.scope import Scope, open_scope

Part = Callable[[Transaction], AbstractAsyncContextManager[None]]
Outcome = tuple[int, State, str | None]
Found = list[Arrival] | Outcome

_TIDY = "tidy-inbox"
_SOON, _SELDOM = timedelta(seconds=1), timedelta(minutes=5)


async def take_in(job: Job, database: Database, providers: Mapping[str, Provider]) -> None:
    """Understand what waits in a lane: all its effects, its marks and the job's end in one transaction."""
    try:
        await _take_in(job, database, providers, _together)
    except _Refused:
        await _take_in(job, database, providers, Transaction.savepoint)


async def _take_in(job: Job, database: Database, providers: Mapping[str, Provider], part: Part) -> None:
    assert job.tenant is not None, "only a channel's door delivers, and it has a tenant"
    async with open_scope(database, job.tenant, actor="worker") as scope:
        rows = await inbox.waiting(scope.db, job.lane)
        channel_of = {id: await _channel(scope, id) for id in {row.channel_id for row in rows}}
        # What a paused channel brings waits in the inbox, in its order, until the channel is resumed.
        rows = [row for row in rows if not _is_paused(channel_of[row.channel_id])]
        read = [_read(row, channel_of[row.channel_id], providers) for row in rows]
        # Providers deliver out of order; within what is here, their own clock decides.
        read.sort(key=lambda pair: _moment(*pair))
        effects = [await _effect(scope, row, found, channel_of[row.channel_id], part) for row, found in read]
        await inbox.mark(scope.db, effects)
        if len(rows) == inbox.TAKEN_AT_ONCE:
            await inbox.ask_again(scope.db, job.lane, job.tenant)
        await finish(scope.db, job)


class _Refused(Exception):
    """One of the updates has no effect, and nothing of the others was kept."""


@asynccontextmanager
async def _together(_: Transaction) -> AsyncIterator[None]:
    # Nearly always all of them are taken in: then there is nothing to go back to, and it costs nothing.
    try:
        yield
    except DatabaseAway:
        raise
    except (Later, Refusal, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        raise _Refused from error


async def try_again(job: Job, database: Database) -> None:
    """Have an update that came too early understood again, behind whatever its lane has got meanwhile."""
    assert job.tenant is not None, "an update belongs to a channel, and it to a tenant"
    async with open_scope(database, job.tenant, actor="worker") as scope:
        await inbox.replay(scope.db, job.tenant, job.payload["inbox"])
        await finish(scope.db, job)


async def replay(scope: Scope, id: int) -> bool:
    """Have one of the tenant's updates understood again; False when there is none to replay."""
    return await inbox.replay(scope.db, scope.tenant, id)


async def tidy_daily(database: Database) -> None:
    """See to it that old updates are forgotten; asking again changes nothing."""
    async with database.transaction() as db:
        await enqueue(db, _TIDY, {}, lane=_TIDY, tenant=None, dedupe_key=_TIDY)


async def forget_old(job: Job, database: Database) -> None:
    """Delete what was kept long enough, step by step, and come again tomorrow."""
    async with database.transaction() as db:
        deleted = await inbox.forget_old(db) + await tidying.forget_old(db)
        again = now() + (timedelta(seconds=1) if deleted else timedelta(days=1))
        await enqueue(db, _TIDY, {}, lane=_TIDY, tenant=None, dedupe_key=_TIDY, run_at=again)
        await finish(db, job)


def _read(row: Row, channel: Channel | None, providers: Mapping[str, Provider]) -> tuple[Row, Found]:
    provider = providers.get(row.channel_kind)
    if channel is None or provider is None:
        return row, (row.id, "ignored", "its channel is gone")
    try:
        return row, provider.parse(row.payload, channel)
    except Unparsed as unparsed:
        return row, (row.id, "unparsed", str(unparsed))
    except OtherNumber as other:
        return row, (row.id, "ignored", str(other))


def _moment(row: Row, found: Found) -> tuple[datetime, int]:
    times = [_told_at(arrival) for arrival in found] if isinstance(found, list) else []
    return min((time for time in times if time is not None), default=row.received_at), row.id


def _told_at(arrival: Arrival | object) -> datetime | None:
    match arrival:
        case Inbound() | Echo():
            return arrival.provider_at
        case Reaction() | Revision() | Progress():
            return arrival.at
        case _:
            return None


async def _effect(scope: Scope, row: Row, found: Found, channel: Channel | None, part: Part) -> Outcome:
    if isinstance(found, tuple) or channel is None:
        return found if isinstance(found, tuple) else (row.id, "ignored", "its channel is gone")
    waited, reasons = scope.now - row.received_at, list[str]()
    with bound(correlation_id=row.correlation_id):
        try:
            # Whatever the database refuses of one update leaves the others of the lane alone.
            async with part(scope.db):
                for arrival in found:
                    reason = await apply(scope, arrival, channel, waited)
                    if reason is not None:
                        reasons.append(reason)
        except DatabaseAway:
            raise
        except Later as later:
            await _try_later(scope, row, waited)
            return row.id, "ignored", f"{later}; it is tried again"
        except (Refusal, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            log.warning("an update was not understood", inbox=row.id, error=type(error).__name__)
            return row.id, "unparsed", redaction.clean(f"{type(error).__name__}: {error}")[:300]
    return row.id, "ignored" if reasons else "parsed", "; ".join(reasons) or None


async def _try_later(scope: Scope, row: Row, waited: timedelta) -> None:
    # Soon at first, since what is missing mostly comes within seconds; then ever more slowly.
    pause = min(max(waited, _SOON), _SELDOM)
    lane = f"late:{row.id}"
    await enqueue(
        scope.db, "late", {"inbox": row.id}, lane=lane, tenant=scope.tenant, run_at=scope.now + pause
    )


async def _channel(scope: Scope, id: ChannelId) -> Channel | None:
    try:
        return await channels.find_settled(scope, id)
    except ChannelNotFound:
        return None


def _is_paused(channel: Channel | None) -> bool:
    return channel is not None and channel.status == "paused"
