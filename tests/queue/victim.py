"""A worker process to be killed, on the database VICTIM_DATABASE; it prints what it begins."""

import asyncio
import os
import signal
import sys

from metachat.foundation import log, queue
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.queue import Job, Limits, Loop
from metachat.foundation.realtime import Listener


async def effect(job: Job, database: Database) -> None:
    """Take a while, then leave one row behind, together with the job's end."""
    print("begins", job.lane, job.payload["n"], flush=True)
    await asyncio.sleep(0.02)
    async with database.transaction() as db:
        await db.execute(
            "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
        )
        await queue.finish(db, job)


async def poison(job: Job, _: Database) -> None:
    """Take the whole process down, as running out of memory does."""
    print("dies", job.deaths, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def main(dsn: str) -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    announcer, listener = Announcer(dsn), Listener(dsn)
    announcer.start()
    listener.start()
    database = await Database.open(dsn, announcer=announcer)
    limits = Limits(deaths=int(os.environ.get("VICTIM_DEATHS", "10")))
    loop = Loop(database, listener, {"effect": effect, "poison": poison}, database, limits)
    await loop.run(stop)
    await listener.close()
    await announcer.close()
    await database.close()
    print("ended", loop.done, flush=True)


if __name__ == "__main__":
    log.configure("victim")
    asyncio.run(main(os.environ["VICTIM_DATABASE"]))
    sys.exit(0)
