"""What every broker must do when workers die: on this host, on others, by chance, or by a job's doing."""

import asyncio
import os
import random
import time

import pytest
from tests.queue.conformance.conftest import Trial, said
from tests.queue.conftest import eventually

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_on_one_host_after_another_each_job_takes_effect_once(trial: Trial, seed: int):
    chance = random.Random(seed)
    for number in range(12):
        for lane in range(5):
            await trial.add("effect", f"lane:{lane}", number)
    for host in ("north", "south"):
        async with trial.victim(host) as process:
            for _ in range(chance.randint(6, 20)):
                assert (await said(process)).startswith("begins")
            process.kill()
    async with trial.victim("east"), trial.victim("west"):
        await eventually(lambda: trial.took_effect(60), within=40)
    assert await trial.effects() == {f"lane:{lane}": list(range(12)) for lane in range(5)}
    assert await trial.dead() == []


async def test_of_another_host_only_the_lease_tells_that_a_worker_died(trial: Trial):
    await trial.add("effect", "a", 1, takes=60)
    async with trial.victim("north") as process:
        assert await said(process) == "begins a 1"
        await asyncio.sleep(2.5)  # longer than the lease: the living one keeps it
        async with trial.victim("south") as other:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(said(other), 1.5)
            process.kill()
            died = time.monotonic()
            assert await said(other) == "begins a 1"
            assert time.monotonic() - died > 0.5, "it could not know before"


async def test_of_this_host_a_dead_worker_is_known_at_once(trial: Trial):
    await trial.add("effect", "a", *range(5))
    async with trial.victim() as process:
        await said(process)
        process.kill()
        await process.wait()
    async with trial.victim():
        await eventually(lambda: trial.took_effect(5))
    assert await trial.effects() == {"a": list(range(5))}


async def test_a_job_that_kills_its_worker_twice_is_laid_aside(trial: Trial):
    await trial.add("poison", "a", 1)
    await trial.add("effect", "a", 2)
    for _ in range(2):
        async with trial.victim() as process:
            assert await said(process) == "poisoned"
            await process.wait()
    async with trial.victim() as process:
        assert await said(process) == "begins a 2", "its lane goes on"
        await eventually(lambda: trial.took_effect(1))
    [dead] = await trial.dead()
    assert "killed its worker" in dead["error"]


async def test_among_many_jobs_the_one_that_kills_is_found_out(trial: Trial):
    for lane in range(12):
        await trial.add("effect", f"slow:{lane}", 1, takes=1.0)
    await trial.add("poison", "bad", 1, takes=0.5)

    async def settled() -> bool:
        # The others may be done before the one is laid aside.
        return bool(await trial.took_effect(12)) and bool(await trial.dead())

    for _ in range(6):
        async with trial.victim() as process:
            dying = asyncio.create_task(process.wait())
            done = asyncio.create_task(eventually(settled, within=60))
            await asyncio.wait((dying, done), return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
            if done.done():
                break
            done.cancel()
    else:
        raise AssertionError("it kills for ever")
    [dead] = await trial.dead()
    assert dead["lane"] == "bad", "nobody else is to blame"


async def test_a_poisoned_lane_does_not_stop_the_others(trial: Trial):
    await trial.add("poison", "bad", 1, takes=1.0)
    for number in range(30):
        await trial.add("effect", f"lane:{number}", number)
    async with trial.victim() as process:
        await process.wait()
    assert await trial.took_effect(30)
