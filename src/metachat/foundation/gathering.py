"""Group commit: what is asked for while one batch is written is the next batch."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar, cast

import asyncpg

from metachat.foundation.db import Database, DatabaseAway, Transaction
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import TenantId
from metachat.foundation.log import log

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

_MOST = 100
# What may be wrong with one item of a batch: the others are then tried without it.
FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, Refusal)


class Gathering(Generic[I, O]):
    """Writes items together that are asked for separately; a batch that fails is tried one by one.

    `writers` batches may be under way at the same time.
    """

    def __init__(self, write: Callable[[Sequence[I]], Awaitable[Sequence[O]]], *, writers: int = 1) -> None:
        self._write = write
        self._writers = writers
        self._waiting: deque[tuple[I, asyncio.Future[O]]] = deque()
        self._writing: set[asyncio.Task[None]] = set()

    async def add(self, item: I) -> O:
        """Write an item with whatever else waits, and give its outcome; raises what its writing raises."""
        outcome: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if len(self._writing) < self._writers:
            self._writing.add(asyncio.create_task(self._run(), name="gathering"))
        return await outcome

    async def _run(self) -> None:
        try:
            await self._write_all()
        finally:
            # Not when the task is done, a moment later: whoever comes in between would wait for nobody.
            self._writing.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _write_all(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            # Whoever gave up waiting is served all the same: what a provider has taken must be noted.
            try:
                await self._settle(batch)
            except Exception as error:  # the top of the loop: nobody may wait for ever
                for _, outcome in batch:
                    if not outcome.done():
                        outcome.set_exception(error)

    async def _settle(self, batch: list[tuple[I, asyncio.Future[O]]]) -> None:
        try:
            outcomes = await self._write([item for item, _ in batch])
        except DatabaseAway:
            raise
        except FAULTS as error:
            if len(batch) == 1:
                raise
            log.warning("a batch failed, one by one now", error=type(error).__name__, items=len(batch))
            for alone in batch:
                await self._settle_alone(alone)
            return
        for (_, outcome), found in zip(batch, outcomes, strict=True):
            if not outcome.done():
                outcome.set_result(found)

    async def _settle_alone(self, alone: tuple[I, "asyncio.Future[O]"]) -> None:
        try:
            await self._settle([alone])
        except FAULTS as error:
            if not alone[1].done():
                alone[1].set_exception(error)


def by_tenant(items: Iterable[tuple[TenantId, I]]) -> dict[TenantId, list[I]]:
    """Sort the items of a batch by whose they are."""
    sorted_items: dict[TenantId, list[I]] = defaultdict(list)
    for tenant, item in items:
        sorted_items[tenant].append(item)
    return sorted_items


def step(database: Database, items: Mapping[TenantId, object]) -> AbstractAsyncContextManager[Transaction]:
    """What a batch is written in, by functions that say whose rows they see: one alone commits by itself."""
    return database.statement() if len(items) == 1 else database.transaction()
