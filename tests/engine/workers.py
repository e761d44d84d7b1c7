"""Workers with a scripted model: in this process, or as one that prints what it is asked and is killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.chat import house

from metachat.domain.assistant import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.domain.assistant.turns import Desk, leave_to_people, take_turn
from metachat.foundation import log
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.queue import Limits, Loop
from metachat.foundation.realtime import Listener


@asynccontextmanager
async def at_work(
    dsn: str, desk_of: Callable[[Database], Desk], limits: Limits, pool: int = 4
) -> AsyncIterator[Loop[Desk]]:
    """A worker whose turns share a pool of so many connections; its own bookkeeping has others."""
    announcer, listener = Announcer(dsn), Listener(dsn)
    announcer.start()
    listener.start()
    database = await Database.open(dsn, size=pool, announcer=announcer)
    own = await Database.open(dsn, size=3, announcer=announcer)
    loop = Loop(
        own, listener, {"turn": take_turn, "turn-laid-aside": leave_to_people}, desk_of(database), limits
    )
    stop = asyncio.Event()
    task = asyncio.create_task(loop.run(stop))
    try:
        yield loop
    finally:
        stop.set()
        await task
        for one in (own, database):
            await one.close()
        await listener.close()
        await announcer.close()


@dataclass
class Aloud:
    """Prints each question, takes its time, and says one fact."""

    pause: float

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say it."""
        print("asked", request.question.replace("\n", " / "), flush=True)
        await asyncio.sleep(self.pause)
        yield Claim(house.FACTS[0], (Source(1, house.FACTS[0]),))
        await asyncio.sleep(self.pause)
        yield Final(Usage("scripted"))


async def main() -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    aloud, limits = Aloud(float(os.environ["VICTIM_PAUSE"])), Limits(deaths=100, sweep=0.5)
    async with at_work(os.environ["VICTIM_DATABASE"], lambda database: house.desk(database, aloud), limits):
        await stop.wait()


if __name__ == "__main__":
    log.configure("victim")
    asyncio.run(main())
