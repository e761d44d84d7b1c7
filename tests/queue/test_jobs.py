"""Jobs: enqueued with their cause, in order within a lane, retried, laid aside, and risen again."""

import asyncio
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from tests.queue.conftest import QUICK, Site, eventually

from metachat.foundation import log, queue
from metachat.foundation.announcing import Announcer
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.queue import GiveUp, Job, LeaseLost, Limits, Postpone, Retry
from metachat.foundation.queue.model import back_off, describe
from metachat.foundation.queue.ready import Ready
from metachat.foundation.realtime import Listener


async def test_a_job_runs_with_what_it_was_given(site: Site):
    tenant = TenantId(uuid7())
    received: list[Job] = []
    seen: list[str | None] = []

    async def handle(job: Job, context: Any) -> None:
        received.append(job)
        seen.append(log.current_correlation_id())

    async with site.worker({"greet": handle}):
        with log.bound(correlation_id="c-1"):
            await site.add("greet", "lane:1", 7, tenant=tenant)
        await eventually(site.is_idle)
    assert [(job.kind, job.payload, job.tenant, job.attempts) for job in received] == [
        ("greet", {"n": 7}, tenant, 0)
    ]
    assert seen == ["c-1"]


async def test_what_was_rolled_back_was_never_enqueued(site: Site):
    async with site.worker({"note": site.note}):
        with pytest.raises(ZeroDivisionError):
            async with site.api.transaction() as db:
                await queue.enqueue(db, "note", {"n": 1}, lane="a", tenant=None)
                _ = 1 / 0
        await site.add("note", "a", 2)
        await eventually(site.is_idle)
    assert site.seen("a") == [2]


async def test_the_application_may_only_add(site: Site):
    await site.add("note", "a", 1)
    for statement in (
        "SELECT 1 FROM jobs",
        "DELETE FROM jobs",
        "UPDATE jobs SET attempts = 0",
        "SELECT 1 FROM lanes",
        "INSERT INTO lanes (lane, leased_until) VALUES ('a', now())",
        "SELECT 1 FROM dead_jobs",
        "SELECT 1 FROM workers",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with site.api.transaction() as db:
                await db.execute(statement)
    assert await site.count("jobs") == 1


async def test_wake_ups_travel_by_the_announcers_connection_only(site: Site):
    announcer = Announcer(site.databases.app)  # not started: what it is told waits inside
    database = await Database.open(site.databases.app, announcer=announcer)
    async with site.listener.subscribe("wake") as wakes:
        while await wakes.next(within=0.1):
            pass
        async with database.transaction() as db:
            await queue.enqueue(db, "note", {"n": 1}, lane="a", tenant=None)
        assert await wakes.next(within=0.2) is None, "the business transaction itself notified"
        announcer.start()
        assert await wakes.next(within=5) == {"lane": "a", "tenant": None}
    await announcer.close()
    await database.close()


async def test_each_lane_keeps_its_order_while_lanes_run_side_by_side(site: Site):
    together, most = 0, 0

    async def handle(job: Job, _: Any) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.001 * (job.payload["n"] % 3))
        together -= 1
        await site.note(job)

    async with site.worker({"note": handle}), site.worker({"note": handle}):
        for number in range(30):
            async with site.api.transaction() as db:
                for lane in range(20):
                    await queue.enqueue(db, "note", {"n": number}, lane=f"lane:{lane}", tenant=None)
        await eventually(site.is_idle)
    for lane in range(20):
        assert site.seen(f"lane:{lane}") == list(range(30))
    assert most > 5


async def test_two_workers_never_hold_one_lane_together(site: Site):
    at_work: set[str] = set()
    clashes: list[str] = []

    async def handle(job: Job, _: Any) -> None:
        if job.lane in at_work:
            clashes.append(job.lane)
        at_work.add(job.lane)
        await asyncio.sleep(0.002)
        at_work.discard(job.lane)
        await site.note(job)

    async with site.worker({"note": handle}) as first, site.worker({"note": handle}) as second:
        for number in range(100):
            await site.add("note", f"lane:{number % 5}", number)
        await eventually(site.is_idle)
    assert not clashes
    assert len(site.ran) == 100
    assert first.done + second.done == 100


async def test_in_flight_is_bounded(site: Site):
    together, most = 0, 0

    async def handle(job: Job, _: Any) -> None:
        nonlocal together, most
        together += 1
        most = max(most, together)
        await asyncio.sleep(0.01)
        together -= 1

    async with site.worker({"note": handle}, Limits(in_flight=3, sweep=0.5)):
        for lane in range(20):
            await site.add("note", f"lane:{lane}", 1)
        await eventually(site.is_idle)
    assert most == 3


async def test_a_failure_is_tried_again_and_the_lane_waits(site: Site):
    async def handle(job: Job, _: Any) -> None:
        await site.note(job)
        if job.payload["n"] == 1 and job.attempts < 2:
            raise ConnectionError("away")

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2)
        await site.add("note", "b", 5)
        await eventually(site.is_idle)
    assert site.seen("a") == [1, 1, 1, 2]
    assert site.seen("b") == [5]


async def test_what_keeps_failing_is_laid_aside_without_secrets_and_the_lane_goes_on(site: Site):
    async def handle(job: Job, _: Any) -> None:
        await site.note(job)
        if job.payload["n"] == 1:
            raise ValueError(
                "Authorization: Bearer abc.def postgres://me:hunter2@db/x sk-123 \x00" + "x" * 9000
            )

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2)
        await eventually(site.is_idle)
    assert site.seen("a") == [1, 1, 1, 2]
    async with site.work.transaction() as db:
        (dead,) = await queue.dead(db)
    assert (dead["payload"], dead["attempts"], dead["lane"]) == ({"n": 1}, 3, "a")
    assert dead["error"].startswith("ValueError: Authorization: Bearer [redacted]")
    assert not any(secret in dead["error"] for secret in ("abc", "hunter2", "123"))
    assert len(dead["error"]) <= 500


async def test_giving_up_lays_aside_at_once_and_replay_runs_it_again(site: Site):
    broken = True

    async def handle(job: Job, _: Any) -> None:
        if broken:
            raise GiveUp("no such document")
        await site.note(job)

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1)
        await eventually(site.is_idle)
        async with site.work.transaction() as db:
            (dead,) = await queue.dead(db)
            assert dead["attempts"] == 1
            assert not await queue.replay(db, dead["id"] + 1)
        broken = False
        async with site.work.transaction() as db:
            assert await queue.replay(db, dead["id"])
            assert not await queue.replay(db, dead["id"])
        await eventually(site.is_idle)
    assert site.seen("a") == [1]
    assert await site.count("dead_jobs") == 0


async def test_the_dead_are_listed_by_tenant(site: Site):
    mine, other = TenantId(uuid7()), TenantId(uuid7())

    async def handle(job: Job, _: Any) -> None:
        raise GiveUp("never")

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2, tenant=mine)
        await site.add("note", "b", 3, tenant=other)
        await eventually(site.is_idle)
    async with site.work.transaction() as db:
        listed = await queue.dead(db, mine)
        assert [row["payload"]["n"] for row in listed] == [1, 2]
        assert [row["payload"]["n"] for row in await queue.dead(db, mine, after=listed[0]["id"])] == [2]


async def test_a_job_may_ask_when_to_run_again(site: Site):
    times: list[tuple[float, int]] = []

    async def handle(job: Job, _: Any) -> None:
        times.append((asyncio.get_running_loop().time(), job.attempts))
        if len(times) == 1:
            raise Retry("busy", after=0.3)
        if len(times) == 2:
            raise Postpone(0.2)

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1)
        await eventually(site.is_idle)
    assert [attempts for _, attempts in times] == [0, 1, 1]
    assert 0.3 <= times[1][0] - times[0][0] < 0.6
    assert 0.2 <= times[2][0] - times[1][0] < 0.5


async def test_a_job_that_no_worker_knows_waits_for_one_that_does(site: Site):
    await site.add("new", "a", 1)
    async with site.worker({"note": site.note}):
        await eventually(lambda: _attempted(site))
    async with site.worker({"new": site.note}):
        await eventually(site.is_idle)
    assert site.seen("a") == [1]


async def _attempted(site: Site) -> bool:
    async with site.work.transaction() as db:
        return bool(await db.value("SELECT attempts > 0 FROM jobs"))


async def test_a_later_job_runs_on_time_and_holds_nobody_up(site: Site):
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended: dict[int, float] = {}

    async def handle(job: Job, _: Any) -> None:
        ended[job.payload["n"]] = loop.time() - began

    async with site.worker({"note": handle}, Limits(sweep=5)):
        await site.add("note", "a", 1, run_at=now() + timedelta(seconds=0.6))
        await site.add("note", "a", 2)
        await eventually(site.is_idle)
    assert ended[2] < 0.5
    assert 0.55 <= ended[1] < 1.0


async def test_a_later_job_is_found_by_a_worker_that_starts_afterwards(site: Site):
    loop = asyncio.get_running_loop()
    began = loop.time()
    await site.add("note", "a", 1, run_at=now() + timedelta(seconds=1))
    async with site.worker({"note": site.note}, Limits(sweep=5)):
        await eventually(site.is_idle)
    assert 0.9 <= loop.time() - began < 2


async def test_a_key_lets_one_job_wait_and_is_free_once_it_runs(site: Site):
    running, go_on = asyncio.Event(), asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        await site.note(job)
        running.set()
        await go_on.wait()

    await site.add("note", "a", 1, dedupe_key="hourly")
    await site.add("note", "a", 2, dedupe_key="hourly")
    assert await site.count("jobs") == 1
    async with site.worker({"note": handle}):
        await asyncio.wait_for(running.wait(), 5)
        await site.add("note", "a", 3, dedupe_key="hourly")
        go_on.set()
        await eventually(site.is_idle)
    assert site.seen("a") == [1, 3]


async def test_a_job_waits_for_whoever_relied_on_it(site: Site):
    await site.add("note", "a", 1, dedupe_key="once")
    async with site.api.transaction() as db:
        await queue.enqueue(db, "note", {"n": 2}, lane="a", tenant=None, dedupe_key="once")
        async with site.worker({"note": site.note}):
            await eventually(lambda: _held(site))
            assert site.ran == []
            await db.connection.execute("SELECT 1")
            await _end(db)
            await eventually(site.is_idle)
    assert site.seen("a") == [1]


async def _held(site: Site) -> bool:
    return await site.count("lanes") == 1


async def _end(db: Any) -> None:
    # The open transaction ends inside the worker's block; leaving the outer block then commits nothing.
    await db.connection.execute("COMMIT; BEGIN")


async def test_finish_and_effect_are_one(site: Site):
    async def handle(job: Job, _: Any) -> None:
        async with site.work.transaction() as db:
            await db.execute(
                "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
            )
            await queue.finish(db, job)
            if job.attempts == 0:
                raise ConnectionError("before the commit")
        raise RuntimeError("after the commit: too late to run again")

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2)
        await eventually(site.is_idle)
    assert await site.count("effects") == 2
    assert await site.count("dead_jobs") == 0


async def test_a_worker_that_lost_its_lane_cannot_finish(site: Site):
    lost: list[int] = []

    async def handle(job: Job, _: Any) -> None:
        await site.superuser(
            "UPDATE lanes SET leased_by = 'other:1:x', leased_until = now() + interval '1 s'"
        )
        try:
            async with site.work.transaction() as db:
                await db.execute("INSERT INTO effects (lane, n) VALUES ('a', 1)")
                await queue.finish(db, job)
        except LeaseLost:
            lost.append(job.id)
            raise

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2)
        await eventually(lambda: asyncio.sleep(0, lost))
        assert await site.count("effects") == 0
        assert await site.count("jobs") == 2


async def test_a_lost_lane_stops_its_running_job(site: Site):
    started, stopped = asyncio.Event(), asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        started.set()
        try:
            await asyncio.sleep(30)
        finally:
            stopped.set()

    async with site.worker({"note": handle}, Limits(heartbeat=0.1, drain=1)):
        await site.add("note", "a", 1)
        await asyncio.wait_for(started.wait(), 5)
        await site.superuser(
            "UPDATE lanes SET leased_by = 'other:1:x', leased_until = now() + interval '60 s'"
        )
        await asyncio.wait_for(stopped.wait(), 5)
    assert await site.count("jobs") == 1


async def test_a_long_job_keeps_its_lane_by_the_heartbeat(site: Site):
    runs = 0

    async def handle(job: Job, _: Any) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1.2)

    short = Limits(lease=0.5, heartbeat=0.1, sweep=0.1)
    async with site.worker({"note": handle}, short), site.worker({"note": handle}, short):
        await site.add("note", "a", 1)
        await eventually(site.is_idle)
    assert runs == 1


async def test_lost_wake_ups_are_found_by_the_sweep(site: Site):
    deaf = Listener("postgresql://x@127.0.0.1:1/x")
    async with site.worker({"note": site.note}, listener=deaf):
        await eventually(lambda: asyncio.sleep(0, True))
        await site.add("note", "a", 1)
        await eventually(site.is_idle)
    assert site.seen("a") == [1]


async def test_a_flood_of_one_tenant_does_not_starve_another(site: Site):
    loud, quiet = TenantId(uuid7()), TenantId(uuid7())

    async def handle(job: Job, _: Any) -> None:
        await asyncio.sleep(0.01)
        site.ran.append(("loud" if job.tenant == loud else "quiet", job.payload["n"]))

    for lane in range(100):
        await site.add("note", f"loud:{lane}", *range(5), tenant=loud)
    async with site.worker({"note": handle}, Limits(in_flight=4, sweep=0.5)):
        await eventually(lambda: asyncio.sleep(0, len(site.ran) > 20))
        for lane in range(4):
            await site.add("note", f"quiet:{lane}", 1, tenant=quiet)
        await eventually(lambda: asyncio.sleep(0, len(site.seen("quiet")) == 4))
        assert len(site.seen("loud")) < 250, "the quiet tenant waited for the loud one"
        await eventually(site.is_idle)
    assert len(site.ran) == 504


async def test_the_database_restarting_costs_no_job(site: Site):
    async def handle(job: Job, _: Any) -> None:
        await asyncio.sleep(0.005)
        async with site.work.transaction() as db:
            await db.execute(
                "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
            )
            await queue.finish(db, job)

    async with site.worker({"note": handle}, Limits(lease=1.5, heartbeat=0.3, sweep=0.5, first_pause=0.1)):
        for number in range(200):
            await site.add("note", f"lane:{number % 10}", number)
            if number % 60 == 50:
                await site.superuser(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND usename = 'metachat_worker'"
                )
        await eventually(site.is_idle, within=30)
    async with site.work.transaction() as db:
        rows = await db.all("SELECT lane, n FROM effects ORDER BY id")
    assert sorted(row["n"] for row in rows) == list(range(200))
    for lane in range(10):
        numbers = [row["n"] for row in rows if row["lane"] == f"lane:{lane}"]
        assert numbers == sorted(numbers)


async def test_stopping_finishes_what_runs_and_leaves_the_rest(site: Site):
    started = asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        started.set()
        await asyncio.sleep(0.2)
        await site.note(job)

    async with site.worker({"note": handle}):
        await site.add("note", "a", 1, 2, 3)
        await asyncio.wait_for(started.wait(), 5)
    assert site.seen("a") == [1]
    assert (await site.count("jobs"), await site.count("lanes"), await site.count("workers")) == (2, 0, 0)


async def test_stopping_does_not_wait_for_ever(site: Site):
    started = asyncio.Event()

    async def handle(job: Job, _: Any) -> None:
        started.set()
        await asyncio.sleep(60)

    async with site.worker({"note": handle}, Limits(drain=0.2)):
        await site.add("note", "a", 1)
        await asyncio.wait_for(started.wait(), 5)
    assert (await site.count("jobs"), await site.count("lanes")) == (1, 0)
    async with site.work.transaction() as db:
        assert await db.value("SELECT attempts FROM jobs") == 0


async def test_an_endless_job_is_ended(site: Site):
    async def handle(job: Job, _: Any) -> None:
        await asyncio.sleep(60)

    async with site.worker({"note": handle}, Limits(run_time=0.05, attempts=2, first_pause=0.01)):
        await site.add("note", "a", 1)
        await eventually(site.is_idle)
    async with site.work.transaction() as db:
        assert "TimeoutError" in (await queue.dead(db))[0]["error"]


def test_back_off_doubles_up_to_its_bound_with_some_chance():
    limits = Limits(first_pause=1, longest_pause=60)
    for attempts, longest in ((1, 1), (2, 2), (3, 4), (7, 60), (1000, 60)):
        assert all(longest / 2 <= back_off(attempts, limits) <= longest for _ in range(20))
    assert len({back_off(3, limits) for _ in range(20)}) > 1


def test_the_tenant_with_the_least_at_work_is_served_first():
    loud, quiet = uuid7(), uuid7()
    ready = Ready({})
    for lane in range(10):
        ready.add(f"loud:{lane}", loud)
    for lane in range(3):
        ready.add(f"quiet:{lane}", quiet)
    ready.add("quiet:0", quiet)
    for lane in ("loud:x", "loud:y"):
        ready.begin(lane, loud)
    assert list(ready.take(6)) == ["quiet:0", "quiet:1", "loud:0", "quiet:2", "loud:1", "loud:2"]
    assert len(ready) == 7


async def test_slow_sorts_of_lanes_leave_places_for_quick_ones(site: Site):
    tenant = TenantId(uuid7())
    slow, most, go_on = 0, 0, asyncio.Event()

    async def handle_slow(job: Job, _: Any) -> None:
        nonlocal slow, most
        slow += 1
        most = max(most, slow)
        await go_on.wait()
        slow -= 1
        await site.note(job)

    # They stood there before the worker started, more of them than one sweep reads.
    async with site.work.transaction() as db:
        await db.execute(
            "INSERT INTO jobs (lane, kind, tenant_id, payload) SELECT 'document:' || n, 'slow', :tenant,"
            " jsonb_build_object('n', n) FROM generate_series(1, 1100) n",
            tenant=tenant,
        )
    await site.add("note", "conversation:1", 1, tenant=tenant)
    async with site.worker(
        {"slow": handle_slow, "note": site.note}, Limits(in_flight=10, at_once={"document": 2})
    ):
        await eventually(lambda: asyncio.sleep(0, site.seen("conversation:1")))
        await site.add("note", "conversation:2", 2, tenant=tenant)
        await eventually(lambda: asyncio.sleep(0, site.seen("conversation:2")))
        assert slow == 2
        go_on.set()
        await eventually(lambda: asyncio.sleep(0, len(site.ran) > 20))
    assert most == 2


def test_errors_are_described_without_secrets():
    assert (
        describe(ValueError("api_key=abc, Basic eHl6")) == "ValueError: api_key=[redacted], Basic [redacted]"
    )


def test_limits_of_the_tests_are_consistent():
    assert QUICK.heartbeat * 2 < QUICK.lease
