"""The job "inbox": what providers delivered becomes contacts, conversations, messages and statuses."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from metachat.domain import channels, events
from metachat.domain.channels import (
    Arrival,
    Channel,
    ChannelNotFound,
    Inbound,
    Notice,
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
from metachat.domain.conversations import progress, store
from metachat.domain.conversations.actions import receive
from metachat.domain.conversations.model import ConversationNotFound
from metachat.foundation.clock import now
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import ChannelId
from metachat.foundation.log import bound, log
from metachat.foundation.queue import Job, enqueue, finish
from metachat.foundation.scope import Scope, open_scope

Outcome = tuple[int, State, str | None]
Found = list[Arrival] | Outcome

_TIDY = "tidy-inbox"


async def take_in(job: Job, database: Database, providers: Mapping[str, Provider]) -> None:
    """Understand what waits in a lane: all its effects, its marks and the job's end in one transaction."""
    assert job.tenant is not None, "only a channel's door delivers, and it has a tenant"
    async with open_scope(database, job.tenant, actor="worker") as scope:
        rows = await inbox.waiting(scope.db, job.lane)
        channel_of = {id: await _channel(scope, id) for id in {row.channel_id for row in rows}}
        # What a paused channel brings waits in the inbox, in its order, until the channel is resumed.
        rows = [row for row in rows if not _is_paused(channel_of[row.channel_id])]
        read = [_read(row, channel_of[row.channel_id], providers) for row in rows]
        # Providers deliver out of order; within what is here, their own clock decides.
        read.sort(key=lambda pair: _moment(*pair))
        await inbox.mark(scope.db, [await _effect(scope, row, found) for row, found in read])
        if len(rows) == inbox.TAKEN_AT_ONCE:
            await inbox.ask_again(scope.db, job.lane, job.tenant)
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
        deleted = await inbox.forget_old(db)
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
        case Inbound():
            return arrival.provider_at
        case Reaction() | Revision() | Progress():
            return arrival.at
        case _:
            return None


async def _effect(scope: Scope, row: Row, found: Found) -> Outcome:
    if isinstance(found, tuple):
        return found
    reasons: list[str] = []
    with bound(correlation_id=row.correlation_id):
        try:
            # Whatever the database refuses of one update leaves the others of the lane alone.
            async with scope.db.savepoint():
                for arrival in found:
                    reason = await _apply(scope, arrival)
                    if reason is not None:
                        reasons.append(reason)
        except DatabaseAway:
            raise
        except (Refusal, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            log.warning("an update was not understood", inbox=row.id, error=type(error).__name__)
            return row.id, "unparsed", f"{type(error).__name__}: {str(error)[:300]}"
    return row.id, "ignored" if reasons else "parsed", "; ".join(reasons) or None


async def _apply(scope: Scope, arrival: Arrival) -> str | None:
    """Let an update take effect; gives the reason when it has none."""
    match arrival:
        case Inbound():
            await _receive(scope, arrival)
        case Reaction():
            known = await _known(scope, arrival.channel, arrival.external_id, arrival.phone)
            if not await progress.react(scope, replace(arrival, external_id=known)):
                return "refers to a message that is not here"
        case Revision():
            known = await _known(scope, arrival.channel, arrival.external_id, arrival.phone)
            if not await progress.revise(scope, replace(arrival, external_id=known)):
                return "refers to a message that is not here"
        case Progress():
            await progress.advance(scope, arrival)
        case Notice():
            await _note(scope, arrival)
    return None


async def _receive(scope: Scope, inbound: Inbound) -> None:
    known = await _known(scope, inbound.channel, inbound.external_id, inbound.phone)
    try:
        await receive(scope, replace(inbound, external_id=known))
    except ConversationNotFound:
        # Delivered before, into a conversation that is no longer this person's current one.
        return
    if inbound.phone and inbound.phone != known:
        values = {"tenant": scope.tenant, "channel": inbound.channel, "external": known}
        await scope.db.execute(store.SET_PHONE, **values, phone=inbound.phone)


async def _known(scope: Scope, channel: ChannelId, external_id: str, phone: str) -> str:
    """The name of a person here, who may be known by their telephone, by the channel's id, or by both."""
    if not phone:
        return external_id
    values = {"tenant": scope.tenant, "channel": channel, "phone": phone}
    known = await scope.db.value(store.KNOWN_BY_PHONE, **values)
    if known is None or known == external_id:
        return external_id
    if external_id == phone:  # told by telephone alone, known by more
        return known
    if known == phone:
        await scope.db.execute(store.RENAME_CONTACT, **values, external=external_id, known=known)
    return external_id


async def _note(scope: Scope, notice: Notice) -> None:
    if notice.phone and notice.new_phone:
        known = await _known(scope, notice.channel, notice.phone, notice.phone)
        values = {"tenant": scope.tenant, "channel": notice.channel, "phone": notice.new_phone}
        if known == notice.phone:
            await scope.db.execute(store.RENAME_CONTACT, **values, external=notice.new_phone, known=known)
        else:
            await scope.db.execute(store.SET_PHONE, **values, external=known)
    kind = "contact.changed" if notice.code == "person" else f"channel.{notice.code}"
    await events.record(scope, kind, subject=UUID(str(notice.channel)), told=notice.detail)


async def _channel(scope: Scope, id: ChannelId) -> Channel | None:
    try:
        return await channels.find_settled(scope, id)
    except ChannelNotFound:
        return None


def _is_paused(channel: Channel | None) -> bool:
    return channel is not None and channel.status == "paused"
