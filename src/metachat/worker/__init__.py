"""The worker process: runs the jobs of every tenant until it is asked to stop."""

import asyncio
import contextlib
import ctypes
import signal

import uvloop

from metachat import wiring
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.garbage import spare_what_is_loaded
from metachat.foundation.log import configure, log
from metachat.foundation.queue import Limits, Loop
from metachat.foundation.settings import Settings
from metachat.worker.measuring import Measuring
from metachat.worker.scraped import scraped

# Reading and embedding a document keeps a core busy for long: a folder full of them waits for its turn,
# while answers go on.
AT_ONCE = {"document": 2}
# What takes no time finds places however many answers and deliveries are being waited for.
QUICK_PLACES = 64
# Parameters of glibc's mallopt, by the numbers of malloc.h.
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3


def main(settings: Settings) -> None:
    """Be the worker process; raises DatabaseAway."""
    configure("worker", settings.log_format, settings.log_level)
    spare_memory()
    uvloop.run(run(settings))


async def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish what runs and give back the rest; raises DatabaseAway."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with wiring.open_platform(settings, "worker") as platform:
        assert settings.worker_database_url is not None, "settings are loaded for the worker"
        database = await open_queue(settings.worker_database_url.reveal(), platform.announcer)
        try:
            await wiring.begin(platform)
            limits = limits_of(settings.turns_in_flight)
            loop = Loop(database, platform.listener, wiring.HANDLERS, platform, limits)
            log.info("worker ready", worker=loop.owner, in_flight=limits.in_flight)
            measuring = Measuring(platform.database, loop, settings.data_dir, settings.public_url)
            spare_what_is_loaded()
            async with scraped(settings.metrics_port, measuring.text):
                await loop.run(stop)
            log.info("worker stopped", worker=loop.owner, done=loop.done, failed=loop.failed)
        finally:
            await database.close()


def limits_of(turns: int) -> Limits:
    """How much the worker takes on: slow models leave places for deliveries, slow providers for turns."""
    deliveries = max(1, turns // 2)
    at_once = {**AT_ONCE, "conversation": turns, "delivery": deliveries}
    return Limits(in_flight=turns + deliveries + QUICK_PLACES, at_once=at_once)


def spare_memory() -> None:
    """Let all threads share one heap, and give large pieces back to the system as soon as they are free.

    Threads hold the interpreter's lock when they allocate: heaps of their own would only hold memory, some
    20 MB while hundreds of answers are waited for.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library than glibc has no such choice
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, 64 * 1024)


async def open_queue(dsn: str, announcer: Announcer) -> Database:
    """Open the loop's own connections: busy handlers must not cost us our lanes. Raises DatabaseAway."""
    return await Database.open(_unhurried(dsn), size=3, announcer=announcer, plans="once")


def _unhurried(dsn: str) -> str:
    """The same database through connections whose commits do not wait for the disk.

    For the loop's own bookkeeping: a crash of Postgres may forget its last moments, never anything in
    between; the jobs of that time run again, as they would had the worker died. Handlers commit durably.
    """
    return f"{dsn}{'&' if '?' in dsn else '?'}synchronous_commit=off"
