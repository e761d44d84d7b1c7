"""A job that takes the lane of the next one: no claim, within the worker's places, undone with its cause."""

import asyncio
import dataclasses
from typing import Any

from tests.queue.conftest import QUICK, Site, eventually

from metachat.foundation.queue import Job, Succession, ending, note_over
from metachat.foundation.queue.store import wake

_ADD = """
INSERT INTO jobs (lane, kind, payload) VALUES (:lane, 'second', jsonb_build_object('n', :n::int)) RETURNING id
"""


class Chain:
    """Handlers: each first job adds a second one, and takes its lane where there is a place."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.taken: list[int] = []
        self.brought: list[Any] = []
        self.fails = 0
        self.hold = asyncio.Event()
        self.hold.set()

    async def first(self, job: Job, _: Any) -> None:
        n = job.payload["n"]
        with Succession(job, "second", 1) as next_one:
            async with self.site.work.transaction() as db:
                id, lane = await db.value(_ADD, lane=f"second:{n}", n=n), f"second:{n}"
                values = {"lane": lane, "job": id, "owner": next_one.owner, "lease": next_one.lease}
                taken = next_one.count > 0 and await db.value(
                    "SELECT take_lane(:lane, :job, :owner, :lease)", **values
                )
                if taken:
                    self.taken.append(n)
                    next_one.begin(db, [next_one.job(id, "second", str(n), {"n": n}, None, "brought")])
                else:
                    wake(db, lane, None)
                rows = await db.all("SELECT end_jobs(:endings, :owners) AS ended", **ending([job]))
                note_over(db, [job], rows)
                if self.fails:
                    self.fails -= 1
                    raise RuntimeError("the first one fails")

    async def second(self, job: Job, _: Any) -> None:
        await self.hold.wait()
        self.brought.append(job.brought)
        await self.site.note(job)

    @property
    def handlers(self) -> dict[str, Any]:
        return {"first": self.first, "second": self.second}


async def _add(site: Site, *numbers: int) -> None:
    for number in numbers:
        await site.add("first", f"first:{number}", number)


async def test_the_next_job_begins_with_what_was_brought(site: Site) -> None:
    chain = Chain(site)
    async with site.worker(chain.handlers) as loop:
        await _add(site, *range(10))
        await eventually(site.is_idle)
        assert loop.done == 20
    assert sorted(chain.taken) == list(range(10))
    assert chain.brought == ["brought"] * 10


async def test_without_a_place_it_waits_like_any_other(site: Site) -> None:
    chain = Chain(site)
    async with site.worker(chain.handlers, dataclasses.replace(QUICK, in_flight=1)):
        await _add(site, *range(5))
        await eventually(site.is_idle)
    assert chain.taken == []
    assert sorted(number for lane, number in site.ran) == list(range(5))
    assert chain.brought == [None] * 5


async def test_no_more_run_at_once_than_may(site: Site) -> None:
    chain = Chain(site)
    chain.hold.clear()
    async with site.worker(chain.handlers, dataclasses.replace(QUICK, in_flight=4)):
        await _add(site, *range(20))
        await eventually(lambda: _leased(site, 4))
        for _ in range(20):
            assert await site.count("lanes") <= 4
            await asyncio.sleep(0.02)
        chain.hold.set()
        await eventually(site.is_idle)
    assert sorted(number for _, number in site.ran) == list(range(20))


async def _leased(site: Site, lanes: int) -> bool:
    return await site.count("lanes") == lanes and await site.count("jobs") == 20


async def test_what_is_undone_takes_nothing(site: Site) -> None:
    chain = Chain(site)
    chain.fails = 2
    async with site.worker(chain.handlers, dataclasses.replace(QUICK, in_flight=2)):
        await _add(site, 1)
        await eventually(site.is_idle)
        assert site.seen("second:1") == [1]
        await _add(site, *range(2, 8))
        await eventually(site.is_idle)
    assert sorted(number for _, number in site.ran) == list(range(1, 8))


async def test_a_worker_that_stops_finishes_what_it_took(site: Site) -> None:
    chain = Chain(site)
    chain.hold.clear()
    async with site.worker(chain.handlers):
        await _add(site, 1)
        await eventually(lambda: _taken(chain))
        asyncio.get_running_loop().call_later(0.3, chain.hold.set)
    assert chain.brought == ["brought"]
    assert await site.is_idle()


async def _taken(chain: Chain) -> bool:
    return chain.taken == [1]


async def test_a_lane_that_nobody_knows_to_be_ours_is_let_go(site: Site) -> None:
    chain = Chain(site)
    limits = dataclasses.replace(QUICK, lease=60, sweep=30)
    async with site.worker(chain.handlers, limits) as loop:
        await eventually(lambda: site.count("workers"))
        async with site.work.transaction() as db:
            await db.value(_ADD, lane="second:1", n=1)
            await db.execute(
                "INSERT INTO lanes (lane, leased_by, leased_until) VALUES (:l, :o, now() + interval '1 min')",
                l="second:1", o=loop.owner,
            )  # fmt: skip
        assert site.ran == []
        loop.doubt()
        await eventually(site.is_idle, within=5)
    assert site.seen("second:1") == [1]
