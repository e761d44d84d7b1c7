"""A worker that is killed costs seconds: its jobs run again, their effects are there once, in order."""

import asyncio
import os
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.queue.conftest import QUICK, Site, eventually

from metachat.foundation import queue

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))
VICTIM = Path(__file__).with_name("victim.py")


@asynccontextmanager
async def victim(site: Site, deaths: int = 100) -> AsyncIterator[Process]:
    """A real worker process, killed at the end at the latest."""
    mine = {"VICTIM_DATABASE": site.databases.worker, "VICTIM_DEATHS": str(deaths)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(VICTIM), stdout=PIPE, env={**os.environ, **mine}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line(process: Process) -> str:
    """The next thing it says."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 15)).decode().strip()


async def effects(site: Site) -> dict[str, list[int]]:
    """The numbers that took effect, by lane, in order."""
    found: dict[str, list[int]] = {}
    for row in await site.superuser("SELECT lane, n FROM effects ORDER BY id"):
        found.setdefault(row["lane"], []).append(row["n"])
    return found


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_again_and_again_each_job_takes_effect_once(site: Site, seed: int):
    for number in range(20):
        for lane in range(5):
            await site.add("effect", f"lane:{lane}", number)
    chance = random.Random(seed)
    for _ in range(4):
        async with victim(site) as process:
            for _ in range(chance.randint(1, 18)):
                assert (await line(process)).startswith("begins")
            process.kill()
            await process.wait()
    async with victim(site):
        await eventually(site.is_idle, within=30)
    assert await effects(site) == {f"lane:{lane}": list(range(20)) for lane in range(5)}
    assert await site.count("dead_jobs") == 0


async def test_the_next_worker_of_this_host_need_not_wait_for_the_lease(site: Site):
    await site.add("effect", "a", *range(30))
    async with victim(site) as process:
        await line(process)
        process.kill()
        await process.wait()
    died = time.monotonic()
    async with victim(site) as process:
        await line(process)
        recovered = time.monotonic() - died
        print(f"from death to the first job of the next worker: {recovered:.2f} s")
        assert recovered < 5, "the lease alone would last 10 s"
        await eventually(site.is_idle)
    assert await effects(site) == {"a": list(range(30))}


async def test_a_worker_beside_it_takes_over(site: Site):
    await site.add("effect", "a", *range(30))
    async with victim(site) as process:
        assert (await line(process)).startswith("begins")
        async with site.worker({"effect": site.note}, QUICK):
            process.kill()
            await eventually(site.is_idle)
    done = (await effects(site)).get("a", [])
    assert done + site.seen("a") == list(range(30))


async def test_a_worker_of_another_host_loses_its_lane_when_the_lease_runs_out(site: Site):
    await site.superuser(
        "INSERT INTO lanes (lane, leased_by, leased_until)"
        " VALUES ('a', 'elsewhere:1:x', now() + interval '1 s')"
    )
    await site.add("note", "a", 1)
    began = time.monotonic()
    runs = []

    async def handle(job: queue.Job, _: object) -> None:
        runs.append((job.attempts, job.deaths))

    async with site.worker({"note": handle}, QUICK):
        await eventually(site.is_idle)
    assert 0.8 <= time.monotonic() - began < 2.5
    assert runs == [(0, 2)], "the run that died is told apart"


async def test_a_job_that_kills_its_worker_is_laid_aside(site: Site):
    await site.add("poison", "a", 1)
    await site.add("effect", "a", 2)
    said = []
    for _ in range(3):
        async with victim(site, deaths=4) as process:
            said.append(await line(process))
            if said[-1].startswith("begins"):
                await eventually(site.is_idle)
                break
            await process.wait()
    assert said == ["dies 0", "dies 2", "begins a 2"]
    async with site.work.transaction() as db:
        (dead,) = await queue.dead(db)
    assert "killed its worker" in dead["error"]


async def test_sigterm_ends_the_running_job_and_leaves_the_rest(site: Site):
    await site.add("effect", "a", *range(50))
    async with victim(site) as process:
        await line(process)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        while not (said := await line(process)).startswith("ended"):
            pass
        assert await process.wait() == 0
        assert time.monotonic() - began < 3
    done = int(said.split()[1])
    assert await effects(site) == {"a": list(range(done))}
    assert (await site.count("jobs"), await site.count("lanes")) == (50 - done, 0)
