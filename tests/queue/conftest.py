"""Workers in this process and in real child processes, over a real Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from tests.conftest import Databases

from metachat.foundation import queue
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.queue import Job, Limits, Loop
from metachat.foundation.realtime import Listener

QUICK = Limits(
    in_flight=50,
    lease=1.5,
    heartbeat=0.3,
    sweep=0.5,
    attempts=3,
    first_pause=0.05,
    longest_pause=0.2,
    drain=5,
)


async def eventually(condition: Callable[[], Awaitable[Any]], within: float = 15) -> Any:
    """Wait until a condition holds, and fail when it doesn't come true in time."""
    end = time.monotonic() + within
    while not (value := await condition()):
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.01)
    return value


@dataclass
class Site:
    """One test's queue: the api's side, the worker's side, and what the handlers saw."""

    databases: Databases
    announcer: Announcer
    listener: Listener
    api: Database
    work: Database
    ran: list[tuple[str, Any]] = field(default_factory=list)

    async def add(self, kind: str, lane: str, *numbers: int, **options: Any) -> None:
        """Enqueue one job a number, as the api does."""
        async with self.api.transaction() as db:
            for number in numbers:
                options.setdefault("tenant", None)
                await queue.enqueue(db, kind, {"n": number}, lane=lane, **options)

    def seen(self, lane: str) -> list[int]:
        """The numbers that were handled in a lane, in order."""
        return [number for name, number in self.ran if name == lane]

    async def note(self, job: Job, _: Any = None) -> None:
        """A handler that remembers."""
        self.ran.append((job.lane, job.payload["n"]))

    async def count(self, table: str) -> int:
        """How many rows a table has."""
        async with self.work.transaction() as db:
            return int(await db.value(f"SELECT count(*) FROM {table}"))

    async def is_idle(self) -> bool:
        """Nothing to do and no lane held."""
        return await self.count("jobs") == 0 and await self.count("lanes") == 0

    @asynccontextmanager
    async def worker(
        self, handlers: dict[str, Any], limits: Limits = QUICK, listener: Any = None
    ) -> AsyncIterator[Loop[None]]:
        """A worker that runs until the block ends."""
        loop = Loop(self.work, listener or self.listener, handlers, None, limits)
        stop = asyncio.Event()
        task = asyncio.create_task(loop.run(stop))
        try:
            yield loop
        finally:
            stop.set()
            await task

    async def superuser(self, sql: str, *values: Any) -> list[Any]:
        """Run something as the superuser."""
        connection = await asyncpg.connect(self.databases.superuser)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()


@pytest.fixture
async def site(databases: Databases) -> AsyncIterator[Site]:
    """A queue with its database and realtime."""
    announcer, listener = Announcer(databases.worker), Listener(databases.worker)
    announcer.start()
    listener.start()
    api = await Database.open(databases.app, announcer=announcer)
    work = await Database.open(databases.worker, announcer=announcer)
    made = Site(databases, announcer, listener, api, work)
    connection = await asyncpg.connect(databases.superuser)
    await connection.execute(
        "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, lane text, n int);"
        "GRANT ALL ON effects TO metachat_worker"
    )
    await connection.close()
    yield made
    await work.close()
    await api.close()
    await listener.close()
    await announcer.close()
