"""Everything at once, seeded: failures, postponements, cut connections, false and missing wake-ups, and
workers that come and go. What was enqueued takes effect once, in order."""

import asyncio
import os
import random
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.queue.conftest import Site, eventually

from metachat.foundation import queue
from metachat.foundation.queue import Job, Limits, Postpone, Retry

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))
LANES, EACH = 12, 25
PATIENT = Limits(
    in_flight=6, lease=1.5, heartbeat=0.3, sweep=0.3, attempts=1000, first_pause=0.005, longest_pause=0.05
)


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_job_takes_effect_once_and_in_order(site: Site, seed: int):
    chance = random.Random(seed)

    async def handle(job: Job, _: Any) -> None:
        await asyncio.sleep(chance.random() * 0.004)
        fate = chance.random()
        if fate < 0.05:
            raise ValueError("broken")
        if fate < 0.08:
            raise Retry("busy", after=0.01)
        if fate < 0.1:
            raise Postpone(0.01)
        async with site.work.transaction() as db:
            await db.execute(
                "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
            )
            await queue.finish(db, job)
            if chance.random() < 0.05:
                raise ConnectionError("just before the commit")

    enqueuing = asyncio.create_task(_enqueue_all(site, chance))
    while not (enqueuing.done() and await _is_done(site)):
        async with AsyncExitStack() as workers:
            for _ in range(chance.randint(1, 3)):
                await workers.enter_async_context(site.worker({"work": handle}, PATIENT))
            for _ in range(chance.randint(1, 6)):
                await _disturb(site, chance)
    await enqueuing
    rows = await site.superuser("SELECT lane, n FROM effects ORDER BY id")
    for lane in range(LANES):
        assert [row["n"] for row in rows if row["lane"] == f"lane:{lane}"] == list(range(EACH))
    assert await site.count("dead_jobs") == 0


async def _enqueue_all(site: Site, chance: random.Random) -> None:
    for number in range(EACH):
        for lane in range(LANES):
            await site.add("work", f"lane:{lane}", number)
        await asyncio.sleep(chance.random() * 0.05)


async def _disturb(site: Site, chance: random.Random) -> None:
    await asyncio.sleep(chance.random() * 0.2)
    fate = chance.random()
    if fate < 0.3:
        await site.superuser(
            "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'metachat_worker' ORDER BY random() LIMIT 3) v"
        )
    elif fate < 0.6:
        for _ in range(20):
            site.announcer.announce("wake", {"lane": f"lane:{chance.randrange(LANES + 3)}", "tenant": None})
    elif fate < 0.7:
        await site.superuser("UPDATE lanes SET leased_by = 'elsewhere:1:x', leased_until = now() + '0.3 s'")


async def _is_done(site: Site) -> bool:
    return await site.superuser("SELECT 1 FROM jobs LIMIT 1") == []


async def test_lanes_leave_nothing_behind(site: Site):
    async def handle(job: Job, _: Any) -> None:
        if job.attempts == 0:
            raise Retry("once more", after=0.01)

    async with site.worker({"work": handle}, PATIENT):
        for number in range(50):
            await site.add("work", f"lane:{number}", number)
        await eventually(site.is_idle)
    assert await site.count("workers") == 0
