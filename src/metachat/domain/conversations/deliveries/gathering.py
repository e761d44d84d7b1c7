"""Group commit: what is asked for while one batch is written is the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import asyncpg

from metachat.foundation.db import DatabaseAway
from metachat.foundation.log import log

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

_MOST = 200


class Gathering(Generic[I, O]):
    """Writes items together that are asked for separately; a batch that fails is tried one by one."""

    def __init__(self, write: Callable[[Sequence[I]], Awaitable[Sequence[O]]]) -> None:
        self._write = write
        self._waiting: deque[tuple[I, asyncio.Future[O]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: I) -> O:
        """Write an item with whatever else waits, and give its outcome; raises what its writing raises."""
        outcome: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._run(), name="gathering")
        return await outcome

    async def _run(self) -> None:
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
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
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
        except (DatabaseAway, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            if not alone[1].done():
                alone[1].set_exception(error)
