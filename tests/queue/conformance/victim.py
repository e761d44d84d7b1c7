"""A worker process to be killed; it prints what it begins."""

import asyncio
import os
import signal
from typing import Any

from tests.queue.conformance.engines import ENGINES, Engine

from metachat.foundation import log
from metachat.foundation.queue import Job, Limits


async def effect(job: Job, engine: Engine) -> None:
    """Take a while, then leave one row behind, together with the job's end."""
    print("begins", job.lane, job.payload["n"], flush=True)
    await asyncio.sleep(job.payload.get("takes", 0.02))
    async with engine.database.transaction() as db:
        await db.execute(
            "INSERT INTO effects (lane, n) VALUES (:lane, :n)", lane=job.lane, n=job.payload["n"]
        )
        await engine.broker.finish(db, job)


async def poison(job: Job, _: Any) -> None:
    """Take the whole process down, as running out of memory does; soon, but not before others began."""
    print("poisoned", flush=True)
    await asyncio.sleep(job.payload.get("takes", 0))
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    """Work until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    host = os.environ["VICTIM_HOST"] or None
    limits = Limits(lease=2, heartbeat=0.4, sweep=0.5)
    async with ENGINES[os.environ["VICTIM_ENGINE"]](os.environ["VICTIM_DATABASE"], host) as engine:
        await engine.broker.run({"effect": effect, "poison": poison}, engine, limits, stop)
    print("ended", flush=True)


if __name__ == "__main__":
    log.configure("victim")
    asyncio.run(main())
