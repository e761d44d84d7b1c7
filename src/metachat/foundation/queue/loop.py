"""The worker's loop: takes lanes that have work, runs their jobs in order, and gives the lanes back."""

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic
from uuid import UUID

from metachat.foundation.db import Database, Transaction
from metachat.foundation.log import log
from metachat.foundation.queue import store
from metachat.foundation.queue.model import (
    Death,
    Job,
    Lease,
    LeaseLost,
    Limits,
    describe,
    is_dead,
    owner_name,
)
from metachat.foundation.queue.parts import (
    drain,
    end_all,
    forever,
    leave_all,
    offers,
    set_within,
    uuid_or_none,
)
from metachat.foundation.queue.ready import Ready, sort_of
from metachat.foundation.queue.running import C, Handler, Runner
from metachat.foundation.queue.settle import Settler, Then
from metachat.foundation.realtime import Listens

# So many lanes are under way at most where all is calm.
_FEW_LANES = 3


class Loop(Generic[C]):
    """One worker; any number of them, on any number of hosts, share the work."""

    def __init__(
        self,
        database: Database,
        listener: Listens,
        handlers: Mapping[str, Handler[C]],
        context: C,
        limits: Limits = Limits(),  # noqa: B008  (frozen)
        owner: str | None = None,
    ) -> None:
        self.owner = owner or owner_name()
        self._database = database
        self._listener = listener
        self._limits = limits
        self._runner = Runner(database, self.owner, handlers, context, limits)
        self._ready = Ready(limits.at_once, places=limits.in_flight)
        self._more = False  # the last sweep found something, and may find more
        self._fresh = False  # it found what nobody had told us of
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._kept = 0  # places for lanes that are being taken
        self._next_in: dict[str, Job] = {}  # of lanes taken again before their last task has ended
        self._doubtful = False  # some lane may be ours without our knowing
        self._leases: dict[str, Lease] = {}  # of the jobs that run
        self._again: set[str] = set()  # woken while we held them
        self._offered: set[str] = set()  # woken by ourselves, and nobody else knows
        self._abandoned: set[str] = set()  # still leased to us, but nobody works there
        self._settler = Settler(database, self.owner, limits)
        self._kick = asyncio.Event()
        self._sweep_now = asyncio.Event()
        self._stopping = False

    @property
    def done(self) -> int:
        """How many jobs were done since the start."""
        return self._runner.done

    @property
    def failed(self) -> int:
        """How many runs failed since the start."""
        return self._runner.failed

    @property
    def lease(self) -> float:
        """How long a lane is ours without a sign of life, in seconds."""
        return self._limits.lease

    @property
    def calm(self) -> bool:
        """Tell whether hardly anything is under way, so that a guess keeps nobody waiting."""
        return len(self._lanes) + len(self._ready) <= _FEW_LANES

    def keep(self, sort: str, tenant: UUID | None, count: int) -> int:
        """Keep up to so many places for lanes that are about to be taken; those who wait come first."""
        room = self._limits.in_flight - len(self._lanes) - self._kept - len(self._ready)
        kept = 0
        while kept < min(room, count) and not self._stopping and self._ready.has_room(tenant, sort):
            self._ready.begin(sort, tenant)
            kept += 1
        self._kept += kept
        return kept

    def fill(self, sort: str, tenant: UUID | None, kept: int, jobs: Sequence[Job]) -> None:
        """Begin jobs in the places that were kept for them; what is kept beyond them is free again."""
        self._kept -= kept
        for _ in range(kept):
            self._ready.end(sort, tenant)
        for job in jobs:
            if job.lane in self._lanes:
                self._next_in[job.lane] = job
            else:
                self._start(job.lane, tenant, [job], Death.NONE)
        if len(jobs) < kept:
            self._kick.set()

    def doubt(self) -> None:
        """Look soon for lanes that are ours without our knowing."""
        self._doubtful = True
        self._sweep_now.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; then finish what runs (up to `limits.drain` seconds) and give back the rest."""
        async with self._listener.subscribe("wake") as wakes, offers(self._database.announcer, self._offer):
            taking = [asyncio.create_task(forever(part)) for part in (self._sweep, self._take)]
            taking.append(asyncio.create_task(forever(lambda: self._hear(wakes))))
            keeping = [asyncio.create_task(forever(part)) for part in (self._beat, self._settler.run)]
            try:
                await stop.wait()
            finally:
                self._stopping = True
                await end_all(taking)
                await drain(self._lanes, self._limits.drain)
                await end_all(keeping)
                await leave_all(self._database, self.owner)

    async def _hear(self, wakes: Any) -> None:
        async for event in wakes:
            if event.get("lost"):
                self._sweep_now.set()
            elif "lanes" in event:
                tenant = uuid_or_none(event["tenant"])
                for lane in event["lanes"]:
                    self._tell(lane)
                    self._want(lane, tenant)
            elif after := event.get("after"):
                self._tell(event["lane"])
                self._want_later(after, event["lane"], uuid_or_none(event["tenant"]))
            else:
                self._tell(event["lane"])
                self._want(event["lane"], uuid_or_none(event["tenant"]))

    def _offer(self, event: Mapping[str, Any]) -> bool:
        """Take work that was caused here without the way over the database, while there are places for it."""
        lane, tenant = event.get("lane"), event.get("tenant")
        room = self._limits.in_flight - len(self._lanes) - self._kept - len(self._ready)
        if lane is None or "after" in event or self._stopping or room <= 0:
            return False
        if lane in self._offered or sort_of(lane) in self._ready.full():
            return False
        self._tell(lane)
        if self._want(lane, tenant):
            self._offered.add(lane)
        return True

    def _tell(self, lane: str) -> None:
        if (lease := self._leases.get(lane)) is not None:
            lease.news.set()

    def _want(self, lane: str, tenant: UUID | None) -> bool:
        if lane in self._lanes:
            self._again.add(lane)
            return False
        new = self._ready.add(lane, tenant)
        if new:
            self._kick.set()
        return new

    def _want_later(self, after: float, lane: str, tenant: UUID | None) -> None:
        # What lies further ahead is found by the sweep: a timer for each would only fill the memory.
        if after <= self._limits.sweep * 2:
            asyncio.get_running_loop().call_later(after + 0.001, self._want, lane, tenant)

    async def _sweep(self) -> None:
        """Find what was forgotten: lost wake-ups, leases that ran out, jobs whose time has come."""
        room = max(self._limits.in_flight * 4, 1000)
        full = self._ready.full()
        async with self._database.transaction() as db:
            owners = [row["leased_by"] for row in await db.all(store.OWNERS)]
            if gone := [owner for owner in owners if is_dead(owner, self.owner)]:
                log.warning("taking over from workers that died", workers=gone)
                await db.execute(store.EXPIRE, owners=gone)
            if self._doubtful:
                await self._leave_strays(db)
            await db.execute(store.TIDY)
            due = await db.all(store.FIND_DUE, limit=room, full=full)
            ahead = await db.value(store.NEXT_DUE)
        self._fresh = sum([self._want(row["lane"], row["tenant"]) for row in due]) > 0
        # More may wait behind what was found or left out: come back as soon as places are free.
        self._more = bool(due or full)
        pause = self._limits.sweep if ahead is None else max(min(ahead + 0.001, self._limits.sweep), 0.01)
        await set_within(self._sweep_now, pause)

    async def _leave_strays(self, db: Transaction) -> None:
        self._doubtful = False
        for row in await db.all(store.LEAVE_STRAYS, owner=self.owner, held=list(self._lanes)):
            log.info("lane let go that nobody worked on", lane=row["lane"])

    async def _take(self) -> None:
        await self._kick.wait()
        if self._abandoned:
            lanes = list(self._abandoned)
            async with self._database.transaction() as db:
                await db.execute(store.LEAVE, lanes=lanes, anyway=lanes, owner=self.owner)
            self._abandoned.difference_update(lanes)
        self._kick.clear()
        while (free := self._limits.in_flight - len(self._lanes) - self._kept) > 0:
            wanted = self._ready.take(min(free, 500))
            if not wanted:
                break
            await self._claim(wanted)
        # What is left here may not begin yet; a sweep would find the same again.
        if free > 0 and (self._fresh or (self._more and len(self._ready) < free)):
            self._more = self._fresh = False
            self._sweep_now.set()

    async def _claim(self, wanted: dict[str, UUID | None]) -> None:
        try:
            async with self._database.statement() as db:
                taken, jobs = await store.claim(
                    db, self.owner, wanted, self._limits.lease, self._limits.burst
                )
        except Exception:
            # They may be ours all the same, where only the answer was lost.
            self._abandoned.update(wanted)
            for lane, tenant in wanted.items():
                self._want(lane, tenant)
            raise
        for lane, died in taken.items():
            self._start(lane, wanted[lane], jobs.get(lane, []), died)
        self._pass_on(wanted, taken)

    def _pass_on(self, wanted: Mapping[str, UUID | None], taken: Collection[str]) -> None:
        # Whoever holds such a lane was not told: the news of it stayed here.
        for lane in self._offered & wanted.keys():
            self._offered.discard(lane)
            if lane not in taken and self._database.announcer is not None:
                self._database.announcer.announce("wake", {"lane": lane, "tenant": wanted[lane]})

    def _start(self, lane: str, tenant: UUID | None, jobs: list[Job], died: Death) -> None:
        task = asyncio.create_task(self._work(lane, tenant, deque(jobs), died), name=lane)
        self._lanes[lane] = task
        self._ready.begin(lane, tenant)
        for job in jobs:
            job.lease.places = self
        task.add_done_callback(lambda _: self._ended(lane, tenant))

    def _ended(self, lane: str, tenant: UUID | None) -> None:
        del self._lanes[lane]
        self._leases.pop(lane, None)
        self._ready.end(lane, tenant)
        if (job := self._next_in.pop(lane, None)) is not None and not self._stopping:
            self._start(lane, tenant, [job], Death.NONE)
        if lane in self._again and lane not in self._lanes:
            self._again.discard(lane)
            self._want(lane, tenant)
        self._kick.set()

    async def _work(self, lane: str, tenant: UUID | None, jobs: deque[Job], died: Death) -> None:
        try:
            if died is not Death.NONE and jobs:
                jobs[0] = await self._runner.blame(jobs[0], died)
            if not jobs:
                jobs.extend(await self._settler.settle(lane, None, Then.MORE))
            while jobs:
                job = jobs.popleft()
                job.lease.news.clear()
                self._leases[lane] = job.lease
                pause = await self._runner.run(job)
                if pause is not None:
                    self._want_later(pause, lane, tenant)
                    return
                then = self._next(lane, tenant, jobs)
                if then is Then.LEAVE:
                    jobs.clear()
                    self._again.add(lane)
                completed = job.id in job.lease.finished
                if completed and job.lease.left:
                    return
                if not completed or then is not Then.STAY:
                    jobs.extend(await self._settler.settle(lane, None if completed else job.id, then))
        except LeaseLost:
            log.warning("lane lost to another worker", lane=lane)
        except Exception as error:
            # The database went away in the middle: when it is back, the lane is given back.
            log.error("lane abandoned", lane=lane, error=describe(error))
            self._abandoned.add(lane)
            self._again.add(lane)

    def _next(self, lane: str, tenant: UUID | None, jobs: deque[Job]) -> Then:
        full = len(self._lanes) >= self._limits.in_flight or sort_of(lane) in self._ready.full()
        if self._stopping or (full and self._ready.others_wait(lane, tenant)):
            return Then.LEAVE
        return Then.STAY if jobs else Then.MORE

    async def _beat(self) -> None:
        held = dict(self._lanes)
        async with self._database.transaction() as db:
            kept = await db.all(store.RENEW, lanes=list(held), owner=self.owner, lease=self._limits.lease)
            await db.execute(
                store.BEAT, owner=self.owner, in_flight=len(held), done=self.done, failed=self.failed
            )
        for lane in held.keys() - {row["lane"] for row in kept}:
            # The same task still at it: it lost the lane, or has left it and is just about to end.
            lease = self._leases.get(lane)
            if lease is not None and lease.left:
                continue
            if self._lanes.get(lane) is held[lane] and held[lane].cancel():
                log.info("lane let go", lane=lane)
        await asyncio.sleep(self._limits.heartbeat)
