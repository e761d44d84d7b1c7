"""The queue as the platform's operator looks at it, through the application's role; the caller checks."""

from dataclasses import dataclass
from datetime import datetime

from metachat.foundation.db import Database
from metachat.foundation.queue.store import wake

# One transaction's worth.
RAISED_AT_ONCE = 1_000

# The functions answer only where this is set, which no request can bring about.
AS_OPERATOR = "SELECT set_config('metachat.operator', 'on', true)"
DEPTH = "SELECT kind, waiting, due, oldest, dead FROM queue_depth()"
DEAD = """
SELECT id, kind, lane, tenant, attempts, error, correlation_id, created_at, died_at
FROM dead_jobs_after(:after, :most)
"""
RAISE = "SELECT lane, tenant FROM replay_dead_jobs(:one, :up_to, :most)"


@dataclass(frozen=True, slots=True)
class Depth:
    """Jobs of one kind: how many wait, how many are due, since when the oldest is, how many are dead."""

    kind: str
    waiting: int
    due: int
    oldest: datetime | None
    dead: int


@dataclass(frozen=True, slots=True)
class DeadJob:
    """A job that was laid aside; tenant is a short name."""

    id: int
    kind: str
    lane: str
    tenant: str | None
    attempts: int
    error: str
    correlation_id: str | None
    created_at: datetime
    died_at: datetime


async def depth(database: Database) -> list[Depth]:
    """Tell what waits, by kind."""
    async with database.transaction() as db:
        await db.value(AS_OPERATOR)
        return [Depth(**row) for row in await db.all(DEPTH)]


async def dead_jobs(database: Database, *, after: int, limit: int) -> list[DeadJob]:
    """List jobs that were laid aside, oldest first."""
    async with database.transaction() as db:
        await db.value(AS_OPERATOR)
        return [DeadJob(**row) for row in await db.all(DEAD, after=after, most=limit)]


async def raise_dead(database: Database, *, one: int | None = None, up_to: int | None = None) -> int:
    """Put jobs back at the ends of their lanes, oldest first; gives how many, at most RAISED_AT_ONCE."""
    async with database.transaction() as db:
        await db.value(AS_OPERATOR)
        risen = await db.all(RAISE, one=one, up_to=up_to, most=RAISED_AT_ONCE)
        for row in risen:
            wake(db, row["lane"], row["tenant"])
    return len(risen)
