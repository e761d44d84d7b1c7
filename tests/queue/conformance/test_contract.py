"""What every broker must do, with workers that live."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.queue.conformance.conftest import Trial
from tests.queue.conftest import QUICK, eventually

from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.queue import GiveUp, Job, LeaseLost, Limits, Postpone, Retry


async def _ran(trial: Trial, count: int) -> bool:
    return len(trial.ran) >= count


async def test_what_was_rolled_back_was_never_enqueued(trial: Trial):
    async with trial.worker({"note": trial.note}):
        with pytest.raises(ZeroDivisionError):
            async with trial.site.api.transaction() as db:
                await trial.broker.enqueue(db, "note", {"n": 1}, lane="a", tenant=None)
                _ = 1 / 0
        await trial.add("note", "a", 2)
        await eventually(lambda: _ran(trial, 1))
    assert trial.ran == [("a", 2)]


async def test_what_nobody_was_woken_for_is_found(trial: Trial):
    mute = await Database.open(trial.site.databases.app, size=1)
    async with trial.worker({"note": trial.note}):
        async with mute.transaction() as db:
            await trial.broker.enqueue(db, "note", {"n": 1}, lane="a", tenant=None)
        await eventually(lambda: _ran(trial, 1))
    await mute.close()


async def test_a_lane_keeps_its_order_over_several_workers_while_others_go_on(trial: Trial):
    together: dict[str, int] = {}
    most_lanes = 0

    async def handle(job: Job, _: Any) -> None:
        nonlocal most_lanes
        together[job.lane] = together.get(job.lane, 0) + 1
        assert together[job.lane] == 1, "two of a lane at once"
        most_lanes = max(most_lanes, sum(together.values()))
        await asyncio.sleep(0.005)
        together[job.lane] -= 1
        await trial.note(job, None)

    async with trial.worker({"note": handle}), trial.worker({"note": handle}):
        for number in range(15):
            for lane in range(6):
                await trial.add("note", f"lane:{lane}", number)
        await eventually(lambda: _ran(trial, 90))
    for lane in range(6):
        assert trial.seen(f"lane:{lane}") == list(range(15))
    assert most_lanes > 1


async def test_a_failed_job_comes_again_before_the_rest_of_its_lane(trial: Trial):
    times: list[float] = []

    async def handle(job: Job, _: Any) -> None:
        if job.payload["n"] == 1:
            times.append(asyncio.get_running_loop().time())
            if job.attempts < 2:
                raise ValueError("broken")
        await trial.note(job, None)

    async with trial.worker({"note": handle}, Limits(attempts=5, first_pause=0.2, sweep=0.5)):
        await trial.add("note", "a", 1, 2)
        await eventually(lambda: _ran(trial, 2))
    assert trial.seen("a") == [1, 2]
    first, second = times[1] - times[0], times[2] - times[1]
    assert first >= 0.1
    assert second >= 0.2, "each pause is longer than the one before"


async def test_who_fails_for_good_is_laid_aside_with_the_reason_and_may_rise_again(trial: Trial):
    mine, broken = TenantId(uuid7()), True

    async def handle(job: Job, _: Any) -> None:
        if broken and job.payload["n"] == 1:
            raise GiveUp("no such document")
        if broken and job.payload["n"] == 2:
            raise ValueError("Authorization: Bearer abc.def")
        await trial.note(job, None)

    async with trial.worker({"note": handle}, QUICK):
        await trial.add("note", "a", 1, 2, 3, tenant=mine)
        await eventually(lambda: _ran(trial, 1))
        gone = await trial.dead(mine)
        assert [(row["payload"]["n"], row["attempts"]) for row in gone] == [(1, 1), (2, QUICK.attempts)]
        assert "no such document" in gone[0]["error"]
        assert "abc" not in gone[1]["error"]
        assert await trial.dead(TenantId(uuid7())) == []
        broken = False
        async with trial.engine.database.transaction() as db:
            assert await trial.broker.replay(db, gone[0]["id"])
            assert not await trial.broker.replay(db, gone[0]["id"])
        await eventually(lambda: _ran(trial, 2))
    assert trial.seen("a") == [3, 1]


async def test_a_job_may_say_when_it_comes_again(trial: Trial):
    runs: list[int] = []

    async def handle(job: Job, _: Any) -> None:
        runs.append(job.attempts)
        if len(runs) == 1:
            raise Postpone(0.1)
        if len(runs) == 2:
            raise Retry("busy", after=0.1)
        await trial.note(job, None)

    async with trial.worker({"note": handle}):
        await trial.add("note", "a", 1)
        await eventually(lambda: _ran(trial, 1))
    assert runs == [0, 0, 1], "who postpones is not to blame"


async def test_a_later_job_holds_nobody_up(trial: Trial):
    began = now()
    async with trial.worker({"note": trial.note}):
        await trial.add("note", "a", 1, run_at=began + timedelta(seconds=0.8))
        await trial.add("note", "a", 2)
        await eventually(lambda: _ran(trial, 2))
    assert trial.seen("a") == [2, 1]
    assert now() - began >= timedelta(seconds=0.8)


async def test_a_key_lets_one_job_wait(trial: Trial):
    running, go_on = asyncio.Event(), asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        running.set()
        await go_on.wait()
        await trial.note(job, None)

    for number in (1, 2):
        await trial.add("note", "a", number, dedupe_key="hourly")
    async with trial.worker({"note": handle}):
        await asyncio.wait_for(running.wait(), 10)
        await trial.add("note", "a", 3, dedupe_key="hourly")
        go_on.set()
        await eventually(lambda: _ran(trial, 2))
    assert trial.seen("a") == [1, 3]


async def test_a_job_waits_for_quiet_but_not_for_ever(trial: Trial):
    async def call(lane: str, number: int, longest: float) -> None:
        async with trial.site.api.transaction() as db:
            await trial.broker.debounce(
                db, "note", {"n": number}, lane=lane, tenant=None, dedupe_key=lane, quiet=0.6,
                longest=longest,
            )  # fmt: skip

    async with trial.worker({"note": trial.note}):
        for number in range(6):
            await call("patient", number, longest=60)
            await call("hurried", number, longest=1)
            await asyncio.sleep(0.25)
        assert trial.seen("patient") == [], "somebody still calls"
        assert trial.seen("hurried"), "it was waited for long enough"
        await eventually(lambda: _ran(trial, 2))
        await eventually(lambda: asyncio.sleep(0, trial.seen("patient")))
    assert trial.seen("patient") == [0]


async def test_effect_and_end_are_one(trial: Trial):
    async def handle(job: Job, _: Any) -> None:
        async with trial.engine.database.transaction() as db:
            await db.execute(
                "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
            )
            await trial.broker.finish(db, job)
            if job.attempts == 0:
                raise ConnectionError("before the commit")
        raise RuntimeError("after the commit: too late to run again")

    async with trial.worker({"note": handle}):
        await trial.add("note", "a", 1, 2)
        await eventually(lambda: trial.took_effect(2))
        with pytest.raises(LeaseLost):
            async with trial.engine.database.transaction() as db:
                await trial.broker.finish(db, Job(1, "a", "note", None, {}, 0, 0, None, _nobodys_lease()))
    assert await trial.effects() == {"a": [1, 2]}


def _nobodys_lease() -> Any:
    from metachat.foundation.queue.model import Lease

    return Lease("a", "elsewhere:1:x")


async def test_a_flood_that_never_ends_leaves_places_to_others(trial: Trial):
    loud, quiet = TenantId(uuid7()), TenantId(uuid7())
    end = asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        if job.tenant == loud:
            await end.wait()
        await trial.note(job, None)

    for lane in range(60):
        await trial.add("note", f"loud:{lane}", 1, tenant=loud)
    async with trial.worker({"note": handle}, Limits(in_flight=20, sweep=0.5)):
        for lane in range(8):
            await trial.add("note", f"quiet:{lane}", 1, 2, tenant=quiet)
        await eventually(lambda: _ran(trial, 16))
        assert {lane.partition(":")[0] for lane, _ in trial.ran} == {"quiet"}
        end.set()
        await eventually(lambda: _ran(trial, 76))


async def test_whoever_stops_finishes_what_runs_and_gives_back_the_rest(trial: Trial):
    started = asyncio.Event()
    attempts: list[int] = []

    async def handle(job: Job, _: Any) -> None:
        started.set()
        attempts.append(job.attempts)
        await asyncio.sleep(0.3)
        await trial.note(job, None)

    async def endless(job: Job, _: Any) -> None:
        await asyncio.sleep(60)

    await trial.add("endless", "b", 1)
    await trial.add("note", "a", 1, 2, 3)
    async with trial.worker({"note": handle, "endless": endless}, Limits(drain=1, sweep=0.5)):
        await asyncio.wait_for(started.wait(), 10)
    assert trial.seen("a") == [1]
    async with trial.worker({"note": handle, "endless": trial.note}):
        await eventually(lambda: _ran(trial, 4))
    assert attempts == [0, 0, 0]
    assert await trial.dead() == []
