"""A broker, workers in this process and in others, and what the handlers saw."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.queue.conformance.engines import ENGINES, Engine
from tests.queue.conftest import QUICK, Site

from metachat.foundation.ids import TenantId
from metachat.foundation.queue import Broker, Handler, Job, Limits

_VICTIM = Path(__file__).with_name("victim.py")
_ROOT = Path(__file__).parents[3]


@dataclass
class Trial:
    """One test's broker, with callers who enqueue and workers who run."""

    name: str
    site: Site
    engine: Engine
    ran: list[tuple[str, int]] = field(default_factory=list)

    @property
    def broker(self) -> Broker:
        """The one under test."""
        return self.engine.broker

    async def add(self, kind: str, lane: str, *numbers: int, **options: Any) -> None:
        """Enqueue one job a number, as the api does."""
        options.setdefault("tenant", None)
        takes = {"takes": options.pop("takes")} if "takes" in options else {}
        async with self.site.api.transaction() as db:
            for number in numbers:
                await self.broker.enqueue(db, kind, {"n": number, **takes}, lane=lane, **options)

    async def note(self, job: Job, _: Any) -> None:
        """A handler that remembers."""
        self.ran.append((job.lane, job.payload["n"]))

    def seen(self, lane: str) -> list[int]:
        """What was handled in a lane, in order."""
        return [number for name, number in self.ran if name == lane]

    @asynccontextmanager
    async def worker(
        self, handlers: Mapping[str, Handler[None]], limits: Limits = QUICK
    ) -> AsyncIterator[None]:
        """A worker in this process, drained at the end."""
        stop = asyncio.Event()
        task = asyncio.create_task(self.broker.run(handlers, None, limits, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    @asynccontextmanager
    async def victim(self, host: str = "") -> AsyncIterator[Process]:
        """A worker in a process of its own, on this host or one of another name; killed at the latest now."""
        mine = {
            "VICTIM_DATABASE": self.site.databases.worker, "VICTIM_ENGINE": self.name, "VICTIM_HOST": host,
            "PYTHONPATH": str(_ROOT),
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(_VICTIM), stdout=PIPE, env={**os.environ, **mine}
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def effects(self) -> dict[str, list[int]]:
        """The numbers that took effect, by lane, in order."""
        found: dict[str, list[int]] = {}
        for row in await self.site.superuser("SELECT lane, n FROM effects ORDER BY id"):
            found.setdefault(row["lane"], []).append(row["n"])
        return found

    async def took_effect(self, count: int) -> bool:
        """Whether so many jobs took effect."""
        return sum(map(len, (await self.effects()).values())) >= count

    async def dead(self, tenant: TenantId | None = None) -> list[dict[str, Any]]:
        """The jobs that were laid aside."""
        async with self.engine.database.transaction() as db:
            return await self.broker.dead(db, tenant)


async def said(process: Process) -> str:
    """The next thing a victim says; "" at its end."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


@pytest.fixture(params=sorted(ENGINES))
async def trial(request: pytest.FixtureRequest, site: Site) -> AsyncIterator[Trial]:
    """Each broker in turn, on a fresh database."""
    async with ENGINES[request.param](site.databases.worker, None) as engine:
        yield Trial(request.param, site, engine)
