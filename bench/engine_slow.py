"""A model that takes a second: answers in flight at a time cost the others nothing.

Through the real door and a real worker, with a scripted model and embedder under their contracts.
"""

import asyncio
import os
import time

from bench.chat import QUESTION, Times, cpu_spent, quantile
from bench.chat_site import ChatSite, chat_site
from bench.crowd import Guest
from bench.result import Result

_THINKING = 1.0
_ASKED = 220
_SOURCES = 40  # the door bounds what comes from one address


async def run() -> list[Result]:
    """Measure at a rate that people make, and at one that one worker must bear."""
    load = os.getloadavg()[0]
    async with chat_site("--whole", str(_THINKING), METACHAT_TURNS_IN_FLIGHT="600") as site:
        calm, _ = await measure(site, rate=20, messages=200)
        # Asked a little faster than wanted: who only just keeps up would end a second late.
        busy, seconds = await measure(site, rate=_ASKED, messages=10 * _ASKED)
    return [
        Result("load of the machine before (1.0 is one core's worth of others)", load, ""),
        Result("POST to last token, model of 1 s, 20/s, p50", quantile(calm.last, 0.5), "ms", 1_100),
        Result("POST to last token, model of 1 s, 20/s, p99", quantile(calm.last, 0.99), "ms"),
        # From the first answer that could be there to the last one that was.
        Result(f"answers a second, model of 1 s, {_ASKED}/s asked", 10 * _ASKED / (seconds - _THINKING), "",
               200, better="higher"),
        Result(f"POST to last token, model of 1 s, {_ASKED}/s, p50", quantile(busy.last, 0.5), "ms"),
        Result(f"POST to last token, model of 1 s, {_ASKED}/s, p99", quantile(busy.last, 0.99), "ms"),
        *(Result(f"CPU for a message at {_ASKED}/s, {kind}", cost, "ms") for kind, cost in busy.cpu.items()),
    ]  # fmt: skip


async def measure(site: ChatSite, *, rate: int, messages: int) -> tuple[Times, float]:
    """Ask at an even rate; gives the times, and the seconds from the first question to the last answer."""
    guests = await _come(site, max(2 * rate, 40))
    times, before = Times(), cpu_spent(site)
    began = time.perf_counter()
    asking = [
        asyncio.create_task(_ask(guest, times, began, range(place, messages, len(guests)), rate))
        for place, guest in enumerate(guests)
    ]
    await asyncio.gather(*asking)
    seconds = time.perf_counter() - began
    after = cpu_spent(site)
    times.cpu = {kind: (after[kind] - before[kind]) * 1000 / messages for kind in after}
    for guest in guests:
        await guest.leave()
    await asyncio.sleep(0.1)  # lets the farewells reach the wire before the next ones come
    return times, seconds


async def _come(site: ChatSite, count: int) -> list[Guest]:
    guests = [
        Guest("127.0.0.1", site.port, site.channel, source=f"127.0.1.{1 + place % _SOURCES}")
        for place in range(count)
    ]
    # Together: a connection that nobody uses for some seconds is closed by the door.
    await asyncio.gather(*(guest.begin() for guest in guests))
    await asyncio.gather(*(guest.listen() for guest in guests))
    return guests


async def _ask(guest: Guest, times: Times, began: float, numbers: range, rate: int) -> None:
    """Ask in this guest's own slots of the common rhythm, each time from when the question was due."""
    for number in numbers:
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await guest.say(QUESTION)
        await _answered(guest)
        times.last.append((time.perf_counter() - due) * 1000)


async def _answered(guest: Guest) -> None:
    async with asyncio.timeout(60):
        while True:
            name, data = await guest.events.get()
            if name == "message" and data["author"] == "assistant":
                assert data["citations"], data
                return
