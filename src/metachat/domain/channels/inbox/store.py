"""The SQL of the inbox."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from metachat.domain.channels.inbox.model import Post, Row, State, Update
from metachat.foundation import queue
from metachat.foundation.clock import now
from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId
from metachat.foundation.queue import store as jobs
from metachat.foundation.realtime import Announces

KEPT_DAYS = 30
TAKEN_AT_ONCE = 100

# The whole batch in one statement, rows and jobs; a row that is there already stays as it is.
TAKE_IN = """
SELECT lane, tenant FROM take_in(:channel_kinds::text[], :channels::uuid[], :tenants::uuid[], :keys::text[],
  :kinds::text[], :lanes::text[], :payloads::bytea[], :errors::text[], :correlations::text[])
"""

# One by itself, and its news with it; both wait for the disk afterwards.
TAKE_IN_ONE = """
SELECT take_in_one(:channel_kind, :channel, :tenant, :key, :kind, :lane, :payload, :error, :correlation,
  :news_channel, :news)
"""
MAKE_DURABLE = "SELECT make_durable()"

# The lane's lease keeps other workers away; the lock makes a worker that lost it wait, and then find none.
WAITING = """
SELECT id, channel_kind, channel_id, kind, payload, correlation_id, received_at FROM inbox
WHERE lane = :lane AND state = 'new' ORDER BY id LIMIT :limit FOR UPDATE
"""

MARK = """
UPDATE inbox SET state = :state, error = :error, handled_at = now() WHERE id = :id AND state = 'new'
"""

REPLAY = """
UPDATE inbox SET state = 'new', error = NULL, handled_at = NULL
WHERE id = :id AND tenant_id = :tenant AND state <> 'new' RETURNING lane
"""

# In steps, so that a large backlog of old rows holds nothing up for long.
FORGET_ROWS = """
DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE received_at < :before AND state <> 'new' LIMIT 5000)
"""


async def take_in(db: Transaction, posts: Sequence[Post], announcer: Announces | None = None) -> None:
    """Keep everything of these requests; what was delivered before changes nothing.

    With an announcer, the worker of a single update hears of it by its own transaction, before it is durable;
    this returns after. The connection's statements must then commit by themselves.
    """
    if announcer is not None and len(posts) == len(posts[0].updates) == 1:
        letter = announcer.letter("wake", {"lane": posts[0].updates[0].lane, "tenant": posts[0].tenant})
        if letter is not None:
            await _take_in_one(db, posts[0], letter)
            return
    rows: list[tuple[Post, Update]] = [(post, update) for post in posts for update in post.updates]
    woken = await db.all(
        TAKE_IN,
        channel_kinds=[post.channel_kind for post, _ in rows],
        channels=[post.channel for post, _ in rows],
        tenants=[post.tenant for post, _ in rows],
        keys=[update.key for _, update in rows],
        kinds=[update.kind for _, update in rows],
        lanes=[update.lane for _, update in rows],
        payloads=[update.payload for _, update in rows],
        errors=[update.error for _, update in rows],
        correlations=[post.correlation for post, _ in rows],
    )
    lanes: dict[TenantId, list[str]] = {}
    for row in woken:
        lanes.setdefault(row["tenant"], []).append(row["lane"])
    for tenant, of_tenant in lanes.items():
        jobs.wake_all(db, of_tenant, tenant)


async def _take_in_one(db: Transaction, post: Post, letter: tuple[str, str]) -> None:
    (update,) = post.updates
    await db.execute(
        TAKE_IN_ONE,
        channel_kind=post.channel_kind, channel=post.channel, tenant=post.tenant, key=update.key,
        kind=update.kind, lane=update.lane, payload=update.payload, error=update.error,
        correlation=post.correlation, news_channel=letter[0], news=letter[1],
    )  # fmt: skip
    await db.execute(MAKE_DURABLE)


async def waiting(db: Transaction, lane: str, limit: int = TAKEN_AT_ONCE) -> list[Row]:
    """Take the next updates of a lane that nobody has understood yet, in the order of their arrival."""
    return [Row(**row) for row in await db.all(WAITING, lane=lane, limit=limit)]


async def mark(db: Transaction, outcomes: Sequence[tuple[int, State, str | None]]) -> None:
    """Note what became of updates, with the reason where they had no effect."""
    rows: list[dict[str, Any]] = [
        {"id": id, "state": state, "error": error and error[:500]} for id, state, error in outcomes
    ]
    await db.many(MARK, rows)


async def ask_again(db: Transaction, lane: str, tenant: TenantId | None) -> None:
    """Let the rest of a long lane have a job of its own."""
    await queue.enqueue(db, "inbox", {}, lane=lane, tenant=tenant)


async def replay(db: Transaction, tenant: TenantId, id: int) -> bool:
    """Have an update understood again, with today's parser; False when there is none to replay."""
    lane = await db.value(REPLAY, id=id, tenant=tenant)
    if lane is not None:
        await ask_again(db, lane, tenant)
    return lane is not None


async def forget_old(db: Transaction) -> int:
    """Delete a step's worth of updates that were kept long enough; what still waits stays."""
    return await db.execute(FORGET_ROWS, before=now() - timedelta(days=KEPT_DAYS))
