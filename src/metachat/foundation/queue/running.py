"""Runs one job, and says what becomes of its lane: it goes on, or rests for a while."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from metachat.foundation.db import Database
from metachat.foundation.log import bound, log
from metachat.foundation.queue import store
from metachat.foundation.queue.model import (
    SUSPECT,
    Death,
    GiveUp,
    Job,
    LeaseLost,
    Limits,
    Postpone,
    Retry,
    back_off,
    describe,
)

C = TypeVar("C")
Handler = Callable[[Job, C], Awaitable[None]]

# What is done when a job of a kind is laid aside is the handler of that kind's name with this behind it.
LAID_ASIDE = "-laid-aside"


class Runner(Generic[C]):
    """The handlers of a worker, and the consequences of how they end."""

    def __init__(
        self, database: Database, owner: str, handlers: Mapping[str, Handler[C]], context: C, limits: Limits
    ) -> None:
        self.done = 0
        self.failed = 0
        self._database = database
        self._owner = owner
        self._handlers = handlers
        self._context = context
        self._limits = limits
        self._watching = asyncio.Lock()

    async def run(self, job: Job) -> float | None:
        """Run one job; None when its lane goes on, else the seconds that it rests, the job still first.

        Raises LeaseLost, and DatabaseAway when the end of the job could not be noted.
        """
        with bound(correlation_id=job.correlation_id, job=job.id, kind=job.kind, lane=job.lane):
            try:
                await self._handle(job)
            except LeaseLost:
                raise
            except Postpone as postponed:
                return await self._rest(job, postponed.after)
            except Exception as error:
                return await self._fail(job, error)
        self.done += 1
        return None

    async def blame(self, job: Job, death: Death) -> Job:
        """Count a worker's death against the job: one that kills its worker must not do so for ever."""
        weight = death.blame(job.deaths)
        async with self._database.transaction() as db:
            await db.execute(store.COUNT_DEATH, id=job.id, weight=weight)
            await db.execute(store.WATCH, lane=job.lane, owner=self._owner, watched=False)
        return dataclasses.replace(job, deaths=job.deaths + weight)

    async def _handle(self, job: Job) -> None:
        if job.deaths >= self._limits.deaths:
            raise GiveUp("killed its worker: whenever this job ran, the process died")
        if job.deduped:
            await self._change(store.START, id=job.id)
        handler = self._handlers.get(job.kind)
        if handler is None:
            raise Retry(f"this worker knows no job of kind {job.kind}")
        async with asyncio.timeout(self._limits.run_time):
            if job.deaths >= SUSPECT:
                await self._watch(job, handler)
            else:
                await handler(job, self._context)

    async def _watch(self, job: Job, handler: Handler[C]) -> None:
        """Run a suspect while no other suspect runs, so that a further death of the worker has one cause."""
        async with self._watching:
            await self._change(store.WATCH, lane=job.lane, owner=self._owner, watched=True)
            running = asyncio.ensure_future(handler(job, self._context))
            try:
                await asyncio.wait({running}, timeout=self._limits.watch)
            except asyncio.CancelledError:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise
            await self._change(store.WATCH, lane=job.lane, owner=self._owner, watched=False)
        try:
            await running
        finally:
            running.cancel()

    async def _fail(self, job: Job, error: Exception) -> float | None:
        if job.id in job.lease.finished:
            log.error("job failed after it was finished", error=describe(error))
            return None
        self.failed += 1
        attempts = job.attempts + 1
        if isinstance(error, GiveUp) or attempts >= self._limits.attempts:
            await self._bury(job, attempts, describe(error))
            return None
        asked = error.after if isinstance(error, Retry) else None
        pause = asked if asked is not None else back_off(attempts, self._limits)
        log.warning("job failed", error=describe(error), attempts=attempts, again_in=round(pause, 3))
        return await self._rest(job, pause, store.COUNT_ATTEMPT)

    async def _bury(self, job: Job, attempts: int, error: str) -> None:
        await self._take_leave(job)
        log.error("job laid aside", error=error, attempts=attempts)
        if not await self._change(store.BURY, id=job.id, owner=self._owner, attempts=attempts, error=error):
            raise LeaseLost(job.lane)
        job.lease.finished.add(job.id)

    async def _take_leave(self, job: Job) -> None:
        # Whoever waits for the job hears that it will not be done; not if even that killed the worker.
        farewell = self._handlers.get(job.kind + LAID_ASIDE)
        if farewell is None or job.deaths >= self._limits.deaths + SUSPECT:
            return
        try:
            async with asyncio.timeout(self._limits.run_time):
                await farewell(job, self._context)
        except Exception as failure:  # what is laid aside is shown to operators all the same
            log.error("nobody was told of a job laid aside", error=describe(failure))

    async def _rest(self, job: Job, pause: float, and_also: str | None = None) -> float:
        async with self._database.transaction() as db:
            if not await db.execute(store.REST, lane=job.lane, owner=self._owner, pause=pause):
                raise LeaseLost(job.lane)
            if and_also is not None:
                await db.execute(and_also, id=job.id)
        return pause

    async def _change(self, statement: str, **values: Any) -> int:
        async with self._database.transaction() as db:
            return await db.execute(statement, **values)
