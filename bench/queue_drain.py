"""The queue: how fast a backlog drains in order, and how soon a lone job begins."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg

from bench.result import Result
from metachat import worker
from metachat.foundation import migrations, queue
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.queue import Job, Limits, Loop
from metachat.foundation.realtime import Listener
from metachat.operations.local.postgres import Cluster

LANES, EACH = 3000, 10
EFFECTS = 5000
TENANTS = 1000
LONE = 200

# The leanest queue there is: no order, no lease that survives, no retry; a batch is taken and deleted.
BARE = """
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs ORDER BY id LIMIT 100 FOR UPDATE SKIP LOCKED)
RETURNING id, lane, kind, payload"""

EFFECT = "INSERT INTO effects (lane) VALUES (:lane)"


async def run() -> list[Result]:
    """Measure the drain beside the leanest queue, effects beside bare transactions, and a lone job's wait."""
    async with served() as dsn:
        announcer, listener = Announcer(dsn), Listener(dsn)
        announcer.start()
        listener.start()
        database = await Database.open(dsn, size=16, announcer=announcer)
        engine = await worker.open_queue(dsn, announcer)
        try:
            return [
                await drain(database, engine, listener),
                await drain_of_many_tenants(database, engine, listener),
                await exactly_once(database, engine, listener),
                *await lone_jobs(database, engine, listener),
            ]
        finally:
            await engine.close()
            await database.close()
            await listener.close()
            await announcer.close()


async def drain(database: Database, engine: Database, listener: Listener) -> Result:
    """30,000 jobs in 3,000 lanes, handlers that do nothing, one worker."""
    await fill(database)
    bare = await rate(LANES * EACH, lambda: take_bare(database))
    await fill(database)
    seen: dict[str, list[int]] = {}

    async def handle(job: Job, _: None) -> None:
        seen.setdefault(job.lane, []).append(job.payload["n"])

    ours = await rate(LANES * EACH, lambda: work_off(engine, listener, handle))
    assert all(numbers == list(range(EACH)) for numbers in seen.values()), "a lane lost its order"
    return Result("drain, ordered, no-op handlers, one worker", ours, "jobs/s", bare * 0.2,
                  "a fifth of the leanest unordered taker in batches of 100", "higher")  # fmt: skip


async def drain_of_many_tenants(database: Database, engine: Database, listener: Listener) -> Result:
    """The same backlog spread over 1,000 tenants, whom the sweep serves in turn."""
    await fill(database, [TenantId(uuid7()) for _ in range(TENANTS)])

    async def handle(job: Job, _: None) -> None:
        return None

    ours = await rate(LANES * EACH, lambda: work_off(engine, listener, handle))
    return Result("the same over 1,000 tenants in fair turns", ours, "jobs/s")


async def exactly_once(database: Database, engine: Database, listener: Listener) -> Result:
    """Handlers that write one row and finish their job in one durable transaction."""
    gate = asyncio.Semaphore(12)

    async def bare(_: int) -> None:
        async with gate, database.transaction() as db:
            await db.execute(EFFECT, lane="bare")
            await db.execute(queue.store.FINISH, id=0, owner="nobody")

    async def all_bare() -> None:
        await asyncio.gather(*(bare(number) for number in range(EFFECTS)))

    limit = await rate(EFFECTS, all_bare)
    await fill(database, lanes=EFFECTS, each=1)

    async def handle(job: Job, _: None) -> None:
        async with gate, database.transaction() as db:
            await db.execute(EFFECT, lane=job.lane)
            await queue.finish(db, job)

    ours = await rate(EFFECTS, lambda: work_off(engine, listener, handle))
    return Result("jobs with one durable effect each, exactly once", ours, "jobs/s", limit * 0.5,
                  "half of the same transactions without a queue", "higher")  # fmt: skip


async def lone_jobs(database: Database, engine: Database, listener: Listener) -> list[Result]:
    """One job at a time into an idle queue: from before the enqueueing transaction to the handler."""
    began: dict[int, float] = {}
    waits: list[float] = []
    ran = asyncio.Event()

    async def handle(job: Job, _: None) -> None:
        waits.append(time.perf_counter() - began[job.payload["n"]])
        ran.set()

    stop = asyncio.Event()
    working = asyncio.create_task(Loop(engine, listener, {"work": handle}, None).run(stop))
    await asyncio.sleep(0.5)
    for number in range(LONE):
        began[number] = time.perf_counter()
        async with database.transaction() as db:
            await queue.enqueue(db, "work", {"n": number}, lane=f"lone:{number}", tenant=None)
        await ran.wait()
        ran.clear()
        await asyncio.sleep(0.01)
    stop.set()
    await working
    waits.sort()
    return [
        Result("a lone job: enqueue, commit, wake, claim, begin; p50", waits[LONE // 2] * 1000, "ms", 10),
        Result("the same, p99", waits[LONE * 99 // 100] * 1000, "ms", 40),
    ]


async def fill(
    database: Database, tenants: list[TenantId] | None = None, lanes: int = LANES, each: int = EACH
) -> None:
    """Put a backlog into the queue, as after an hour without a worker."""
    owners: list[UUID | None] = [None] * lanes if tenants is None else [*tenants]
    async with database.transaction() as db:
        await db.execute(
            "INSERT INTO jobs (lane, kind, tenant_id, payload)"
            " SELECT 'lane:' || l, 'work', (:owners::uuid[])[1 + l % :count::int], jsonb_build_object('n', n)"
            " FROM generate_series(0, :each::int - 1) n, generate_series(0, :lanes::int - 1) l",
            owners=owners, count=len(owners), lanes=lanes, each=each,
        )  # fmt: skip


async def take_bare(database: Database) -> None:
    """Drain the backlog with the leanest taker, one batch a transaction."""
    while True:
        async with database.transaction() as db:
            if not await db.all(BARE):
                return


async def work_off(
    database: Database, listener: Listener, handle: Callable[[Job, None], Awaitable[None]]
) -> None:
    """Let one worker run until nothing is left."""
    stop = asyncio.Event()
    loop = Loop(database, listener, {"work": handle}, None, Limits())
    working = asyncio.create_task(loop.run(stop))
    while True:
        await asyncio.sleep(0.05)
        async with database.transaction() as db:
            if not await db.value("SELECT EXISTS (SELECT FROM jobs)"):
                break
    stop.set()
    await working
    assert loop.failed == 0


async def rate(count: int, work: Callable[[], Awaitable[None]]) -> float:
    """How many a second."""
    began = time.perf_counter()
    await work()
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """A durable Postgres with the schema; yields the worker's address."""
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        cluster = Cluster(Path(folder) / "pg")
        cluster.ensure()
        cluster.start()
        try:
            yield await prepared(cluster)
        finally:
            cluster.destroy()


async def prepared(cluster: Cluster) -> str:
    """Create the database, its roles and the table for effects."""
    passwords = {f"metachat_{role}": secrets.token_urlsafe(24) for role in ("owner", "app", "worker")}
    superuser = cluster.dsn("postgres", "postgres", cluster.superuser_password)
    await migrations.prepare(superuser, "metachat", passwords)
    owner = cluster.dsn("metachat_owner", "metachat", passwords["metachat_owner"])
    await migrations.migrate(owner)
    connection = await asyncpg.connect(owner)
    await connection.execute("CREATE TABLE effects (lane text); GRANT INSERT ON effects TO metachat_worker")
    await connection.close()
    return cluster.dsn("metachat_worker", "metachat", passwords["metachat_worker"])
