"""What a worker's loop is made of: parts that go on for ever, and how they are ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from metachat.foundation.db import Database
from metachat.foundation.log import log
from metachat.foundation.queue import store
from metachat.foundation.queue.model import describe
from metachat.foundation.realtime import Announces


async def forever(part: Callable[[], Awaitable[None]]) -> None:
    """Repeat a part of the loop; a failure (the database restarts) is logged, and it goes on."""
    task = asyncio.current_task()
    pause = 0.1
    # A rollback that fails may hide the cancellation that caused it, so the task is asked itself.
    while task is not None and not task.cancelling():
        try:
            await part()
            pause = 0.1
        except Exception as error:
            log.error("queue disturbed", part=getattr(part, "__name__", "hear"), error=describe(error))
            if not task.cancelling():
                await asyncio.sleep(pause)
            pause = min(pause * 2, 2)


@contextlib.asynccontextmanager
async def offers(
    announcer: Announces | None, take: Callable[[Mapping[str, Any]], bool]
) -> AsyncIterator[None]:
    """Take what this process announces before it goes anywhere else, until this is left."""
    if announcer is not None:
        announcer.offer("wake", take)
    try:
        yield
    finally:
        if announcer is not None:
            announcer.offer("wake", None)


async def end_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait for their ends."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def drain(lanes: Mapping[str, asyncio.Task[None]], seconds: float) -> None:
    """Wait until every lane's task has ended, and cancel those that take longer."""
    if lanes:
        log.info("finishing what runs", lanes=len(lanes))
    deadline = asyncio.get_running_loop().time() + seconds
    # What was being added when we were told to stop begins while the others end.
    while running := list(lanes.values()):
        left = deadline - asyncio.get_running_loop().time()
        if left <= 0:
            break
        await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    await end_all(running)


async def leave_all(database: Database, owner: str) -> None:
    """Give back every lane of a worker, and forget it."""
    try:
        async with asyncio.timeout(3), database.transaction() as db:
            for row in await db.all(store.LEAVE_ALL, owner=owner):
                store.wake(db, row["lane"], None)
            await db.execute(store.FORGET_WORKERS, owner=owner)
    except Exception as error:
        log.warning("leases left to run out", error=describe(error))


async def set_within(event: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, at most so many seconds, and clear it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


def uuid_or_none(text: str | None) -> UUID | None:
    """Read the name of a tenant, where there is one."""
    return None if text is None else UUID(text)
