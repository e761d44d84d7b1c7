"""The web chat end to end: from POST to the answer's last token, at 20 messages a second."""

import asyncio
import os
import statistics
import time

import psutil

from bench.chat_site import ChatSite, chat_site
from bench.crowd import Guest
from bench.result import Result

RATE = 20.0
GUESTS = 40
MESSAGES = 400
WARM_UP = 40
QUESTION = "What does standard delivery to Germany cost and how long does it take?"


async def run() -> list[Result]:
    """Measure with a scripted model and embedder, and beside it with the bundled embedder and extractive."""
    async with chat_site() as site:
        load = os.getloadavg()[0]
        scripted = await measure(site, MESSAGES)
    async with chat_site("--real") as site:
        real = await measure(site, MESSAGES // 2)
    return [
        Result("load of the machine before (1.0 is one core's worth of others)", load, ""),
        Result("POST to last token, scripted model, 20/s, p50", quantile(scripted.last, 0.5), "ms", 15),
        Result("POST to last token, scripted model, 20/s, p99", quantile(scripted.last, 0.99), "ms", 60),
        Result("POST acknowledged (durable), 20/s, p50", quantile(scripted.stored, 0.5), "ms"),
        Result("POST acknowledged (durable), 20/s, p99", quantile(scripted.stored, 0.99), "ms"),
        *(Result(f"CPU for a message, {kind}", spent, "ms") for kind, spent in scripted.cpu.items()),
        Result("POST to last token, bundled embedder + extractive, p50", quantile(real.last, 0.5), "ms"),
        Result("POST to last token, bundled embedder + extractive, p99", quantile(real.last, 0.99), "ms"),
        *(Result(f"CPU for a message, {kind}", spent, "ms") for kind, spent in real.cpu.items()),
    ]


class Times:
    """Milliseconds from each POST: until it was acknowledged, and until its answer was complete.

    cpu: milliseconds of CPU that each kind of process spent on a message, warm-up included.
    """

    def __init__(self) -> None:
        self.stored: list[float] = []
        self.last: list[float] = []
        self.cpu: dict[str, float] = {}


async def measure(site: ChatSite, messages: int) -> Times:
    """Let guests ask at an even rate, each one only when its last answer has come."""
    guests = [Guest("127.0.0.1", site.port, site.channel) for _ in range(GUESTS)]
    for guest in guests:
        await guest.begin()
        await guest.listen()
    times, warm_up = Times(), Times()
    before = cpu_spent(site)
    asking = [
        asyncio.create_task(ask_repeatedly(guest, times, warm_up, place, messages))
        for place, guest in enumerate(guests)
    ]
    await asyncio.gather(*asking)
    after = cpu_spent(site)
    times.cpu = {kind: (after[kind] - before[kind]) * 1000 / (WARM_UP + messages) for kind in after}
    for guest in guests:
        await guest.leave()
    await asyncio.sleep(0.1)  # lets the farewells reach the wire before the site is stopped
    return times


async def ask_repeatedly(guest: Guest, times: Times, warm_up: Times, place: int, messages: int) -> None:
    """Ask in this guest's own slots of the common rhythm."""
    began = time.perf_counter()
    for number in range(place, WARM_UP + messages, GUESTS):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        await ask_once(guest, warm_up if number < WARM_UP else times)


async def ask_once(guest: Guest, times: Times) -> None:
    """Ask, and wait for the whole answer; at most 20 seconds."""
    sent = time.perf_counter()
    await guest.say(QUESTION)
    times.stored.append((time.perf_counter() - sent) * 1000)
    async with asyncio.timeout(20):
        while True:
            name, data = await guest.events.get()
            if name == "message" and data["author"] == "assistant":
                assert data["citations"], data
                times.last.append((time.perf_counter() - sent) * 1000)
                return


def quantile(values: list[float], share: float) -> float:
    """The value below which a share of all lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else statistics.fmean([])


def cpu_spent(site: ChatSite) -> dict[str, float]:
    """Seconds of CPU that each kind of process has spent so far; Postgres with all its backends."""
    kinds = {"api": 0.0, "worker": 0.0, "Postgres": 0.0, "this client": time.process_time()}
    *apis, worker = (process.pid for process in site.processes)
    for process in psutil.Process().children(recursive=True):
        spent = process.cpu_times()
        kind = "api" if process.pid in apis else "worker" if process.pid == worker else "Postgres"
        # The server keeps what its ended backends have spent.
        kinds[kind] += sum(spent[:4]) if kind == "Postgres" else spent.user + spent.system
    return kinds
