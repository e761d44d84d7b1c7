"""Completes jobs and leaves lanes in batches: what comes while one batch commits is the next batch."""

import asyncio
from dataclasses import dataclass
from enum import Enum

from metachat.foundation.db import Database
from metachat.foundation.queue import store
from metachat.foundation.queue.model import Job, LeaseLost, Limits


class Then(Enum):
    """What becomes of the lane after a job."""

    STAY = "more of its jobs are at hand"
    MORE = "read more of its jobs, or leave it when it has none"
    LEAVE = "leave it to others, whatever it has"


@dataclass(frozen=True, slots=True)
class _Item:
    lane: str
    done: int | None
    then: Then
    more: "asyncio.Future[list[Job]]"


class Settler:
    """The one writer of completions of a worker."""

    def __init__(self, database: Database, owner: str, limits: Limits) -> None:
        self._database = database
        self._owner = owner
        self._limits = limits
        self._items: list[_Item] = []
        self._news = asyncio.Event()

    async def settle(self, lane: str, done: int | None, then: Then) -> list[Job]:
        """Complete a job (None: it already is) and see to its lane; returns the lane's next jobs.

        Empty with STAY, and when the lane was left.
        """
        item = _Item(lane, done, then, asyncio.get_running_loop().create_future())
        self._items.append(item)
        self._news.set()
        return await item.more

    async def run(self) -> None:
        """Write batch after batch; those of a batch that failed are told so."""
        while True:
            await self._news.wait()
            self._news.clear()
            items = self._items
            self._items = []
            try:
                done, more = await self._write(items)
            except BaseException as error:
                failure = error if isinstance(error, Exception) else ConnectionAbortedError("worker stops")
                for item in items:
                    if not item.more.done():
                        item.more.set_exception(failure)
                if not isinstance(error, Exception):
                    raise
                continue
            for item in items:
                if item.more.done():
                    continue
                if item.done is not None and item.done not in done:
                    item.more.set_exception(LeaseLost(item.lane))
                else:
                    item.more.set_result(more.get(item.lane, []) if item.then is Then.MORE else [])

    async def _write(self, items: list[_Item]) -> tuple[set[int], dict[str, list[Job]]]:
        jobs = sorted(item.done for item in items if item.done is not None)
        leaving = [item.lane for item in items if item.then is not Then.STAY]
        anyway = [item.lane for item in items if item.then is Then.LEAVE]
        more: dict[str, list[Job]] = {}
        # Most jobs are done by their handlers: what remains is one statement, which commits by itself.
        async with self._database.transaction() if jobs else self._database.statement() as db:
            done = (
                {row["id"] for row in await db.all(store.DONE, ids=jobs, owner=self._owner)}
                if jobs
                else set()
            )
            if leaving:
                left = await db.execute(store.LEAVE, lanes=leaving, anyway=anyway, owner=self._owner)
                if left < len(leaving):
                    more = await store.load(db, self._owner, leaving, self._limits.burst)
        return done, more
