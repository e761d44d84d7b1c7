"""The verbs of channels' health; the job "channel-health" runs once a minute, off the way of messages."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from metachat.domain import events
from metachat.domain.channels.health import store
from metachat.domain.channels.health.model import (
    QUIET,
    SLOT,
    Finding,
    Silence,
    Traffic,
    first_traffic,
    is_silent,
)
from metachat.foundation.clock import now
from metachat.foundation.db import Database, Transaction
from metachat.foundation.ids import ChannelId, uuid7
from metachat.foundation.log import log
from metachat.foundation.queue import Job, enqueue, finish
from metachat.foundation.scope import Scope, open_scope

SILENT = "channel.silent"
TROUBLE = "channel.trouble"
# The correlation id of a doctor's own update: it must not pass for a provider's.
KNOCK = "channel-doctor"

_JOB = "channel-health"
_EVERY = timedelta(minutes=1)
# By now whatever was received before this has been committed, or never will be.
_SETTLED_SECONDS = 15
_SLACK = 5_000


async def follow_minutely(database: Database) -> None:
    """See to it that channels are followed; asking again changes nothing."""
    async with database.transaction() as db:
        await enqueue(db, _JOB, {}, lane=_JOB, tenant=None, dedupe_key=_JOB)


async def follow(job: Job, database: Database) -> None:
    """Count what came since the last time, judge the channels that are quiet, and come again."""
    async with database.transaction() as db:
        arrived = await _fold(db)
    for traffic in arrived:
        if traffic.silent:
            await _end_silence(database, traffic)
    async with database.transaction() as db:
        quiet = [Traffic(**row) for row in await db.all(store.QUIET, before=now() - QUIET)]
    for traffic in quiet:
        silence = is_silent(traffic, now())
        if silence is not None:
            await _begin_silence(database, traffic, silence)
        await asyncio.sleep(0)  # judging takes up to a millisecond: answers in the making go on between
    async with database.transaction() as db:
        await enqueue(db, _JOB, {}, lane=_JOB, tenant=None, dedupe_key=_JOB, run_at=now() + _EVERY)
        await finish(db, job)


async def open_findings(scope: Scope) -> list[Finding]:
    """List what somebody should look at, newest first."""
    return [Finding(**row) for row in await scope.db.all(store.OPEN, tenant=scope.tenant)]


async def findings_everywhere(database: Database) -> list[dict[str, Any]]:
    """List every tenant's open findings, newest first; only the operator may: the caller checks."""
    async with database.transaction() as db:
        await db.value(store.AS_OPERATOR)
        return await db.all(store.OPEN_EVERYWHERE)


async def resolve(scope: Scope, channel: ChannelId) -> bool:
    """Call a channel's silence over; False when it was not silent."""
    return await scope.db.execute(store.RESOLVE, tenant=scope.tenant, kind=SILENT, subject=channel) > 0


async def note_trouble(scope: Scope, channel: ChannelId, cause: str, detail: dict[str, Any]) -> bool:
    """Note what keeps a channel from sending; False when that is known already."""
    values = {"id": uuid7(), "subject": channel, "since": scope.now, "detail": {"cause": cause, **detail}}
    kind = f"{TROUBLE}.{cause}"
    if not await scope.db.execute(store.RAISE, tenant=scope.tenant, kind=kind, **values):
        return False
    await events.record(scope, TROUBLE, subject=channel, cause=cause, **detail)
    log.warning("a channel is in trouble", channel=channel, cause=cause)
    return True


async def end_trouble(scope: Scope, channel: ChannelId) -> None:
    """Call whatever kept a channel from sending over: it has just sent."""
    await scope.db.execute(store.RESOLVE_TROUBLES, tenant=scope.tenant, subject=channel, kind=f"{TROUBLE}.%")


async def last_update_of(scope: Scope, channels: Collection[ChannelId]) -> dict[ChannelId, datetime]:
    """Tell when a provider last delivered to each of these channels, up to a minute late."""
    rows = await scope.db.all(store.LAST_UPDATES, tenant=scope.tenant, channels=list(channels))
    return {row["channel_id"]: row["last_update_at"] for row in rows}


async def last_heard(scope: Scope, channel: ChannelId) -> datetime | None:
    """Tell when a provider last delivered to a channel, to the moment; None when it never did."""
    just = await scope.db.value(store.JUST_NOW, tenant=scope.tenant, channel=channel, knock=KNOCK)
    return just or (await last_update_of(scope, [channel])).get(channel)


async def receipt(scope: Scope, channel: ChannelId, provider_id: str) -> tuple[str, dict[str, Any]] | None:
    """Tell what a provider has reported of a message it took; None when nothing yet."""
    row = await scope.db.one(store.RECEIPT, tenant=scope.tenant, channel=channel, id=provider_id)
    return None if row is None else (row["status"], row["detail"])


async def _fold(db: Transaction) -> list[Traffic]:
    progress = await db.one(store.PROGRESS, settled=_SETTLED_SECONDS)
    assert progress is not None, "a migration made the row"
    if progress["cutoff"] <= progress["until"]:
        return []
    rows = await db.all(store.ARRIVED, **progress, slot=SLOT, knock=KNOCK)
    ids = {row["channel_id"] for row in rows}
    known = {row["channel_id"]: Traffic(**row) for row in await db.all(store.OF_CHANNELS, channels=list(ids))}
    for row in rows:
        channel, last = row["channel_id"], row["last"]
        before = known.get(channel)
        known[channel] = (
            first_traffic(row["tenant_id"], channel, last) if before is None else before.after(last)
        )
    await _keep(db, list(known.values()))
    await db.execute(store.ADVANCE, cutoff=progress["cutoff"], past=progress["past"], slack=_SLACK)
    return list(known.values())


async def _keep(db: Transaction, traffic: Sequence[Traffic]) -> None:
    rows = [{name: value for name, value in asdict(one).items() if name != "silent"} for one in traffic]
    try:
        async with db.savepoint():
            await db.many(store.KEEP, rows)
    except asyncpg.ForeignKeyViolationError:
        if len(rows) > 1:  # one of these channels is gone; the others are kept
            for one in traffic:
                await _keep(db, [one])


async def _begin_silence(database: Database, traffic: Traffic, silence: Silence) -> None:
    detail: dict[str, Any] = {
        "rule": silence.rule, "missed": silence.missed, "longest_pause_hours": silence.longest_pause_hours,
    }  # fmt: skip
    async with open_scope(database, traffic.tenant_id, actor="worker") as scope:
        values = {"id": uuid7(), "subject": traffic.channel_id, "since": silence.since, "detail": detail}
        if await scope.db.execute(store.RAISE, tenant=scope.tenant, kind=SILENT, **values):
            await events.record(
                scope, SILENT, subject=traffic.channel_id, since=silence.since.isoformat(), **detail
            )
            log.warning("a channel fell silent", channel=traffic.channel_id, rule=silence.rule)
        await _set_silent(scope, traffic, silent=True)


async def _end_silence(database: Database, traffic: Traffic) -> None:
    async with open_scope(database, traffic.tenant_id, actor="worker") as scope:
        if await resolve(scope, traffic.channel_id):
            await events.record(scope, "channel.heard_again", subject=traffic.channel_id)
        await _set_silent(scope, traffic, silent=False)


async def _set_silent(scope: Scope, traffic: Traffic, *, silent: bool) -> None:
    await scope.db.execute(store.SET_SILENT, tenant=scope.tenant, channel=traffic.channel_id, silent=silent)
