"""The web chat end to end: from POST to the answer's last token, at 20 messages a second."""

import asyncio
import resource
import statistics
import time

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
        scripted = await measure(site, MESSAGES)
    async with chat_site("--real") as site:
        real = await measure(site, MESSAGES // 2)
        cpu = worker_cpu(site)
    return [
        Result("POST to last token, scripted model, 20/s, p50", quantile(scripted.last, 0.5), "ms", 15),
        Result("POST to last token, scripted model, 20/s, p99", quantile(scripted.last, 0.99), "ms", 60),
        Result("POST acknowledged (durable), 20/s, p50", quantile(scripted.stored, 0.5), "ms"),
        Result("POST acknowledged (durable), 20/s, p99", quantile(scripted.stored, 0.99), "ms"),
        Result("POST to last token, bundled embedder + extractive, p50", quantile(real.last, 0.5), "ms"),
        Result("POST to last token, bundled embedder + extractive, p99", quantile(real.last, 0.99), "ms"),
        Result("its worker's CPU for each answer (1,000 ms a second is one core)", cpu, "ms"),
    ]


class Times:
    """Milliseconds from each POST: until it was acknowledged, and until its answer was complete."""

    def __init__(self) -> None:
        self.stored: list[float] = []
        self.last: list[float] = []


async def measure(site: ChatSite, messages: int) -> Times:
    """Let guests ask at an even rate, each one only when its last answer has come."""
    guests = [Guest("127.0.0.1", site.port, site.channel) for _ in range(GUESTS)]
    for guest in guests:
        await guest.begin()
        await guest.listen()
    times, warm_up = Times(), Times()
    asking = [
        asyncio.create_task(ask_repeatedly(guest, times, warm_up, place, messages))
        for place, guest in enumerate(guests)
    ]
    await asyncio.gather(*asking)
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


def worker_cpu(site: ChatSite) -> float:
    """CPU milliseconds of all processes for one answer; known once they have ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    site.processes[-1].terminate()
    site.processes[-1].wait(timeout=20)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return used * 1000 / (WARM_UP + MESSAGES // 2)
