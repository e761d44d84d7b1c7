"""A thousand readers of event streams on one api process: what each costs, and how soon news reaches them."""

import asyncio
import gc
import time
from uuid import UUID

import psutil

from bench.chat import quantile
from bench.chat_site import ChatSite, chat_site
from bench.crowd import Guest
from bench.result import Result
from metachat.domain import conversations
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.ids import ChannelId
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import Secret
from metachat.web.chat.visitors import Tokens, Visitor

READERS = 1000
AT_ONCE = 50


async def run() -> list[Result]:
    """Open the streams, weigh the process, then send each reader news."""
    async with chat_site() as site:
        announcer = Announcer(site.environment["METACHAT_DATABASE_URL"])
        announcer.start()
        database = await Database.open(site.environment["METACHAT_DATABASE_URL"], announcer=announcer)
        guests = await invite(site, database)
        api = psutil.Process(site.processes[0].pid)
        await open_streams(guests[:AT_ONCE])  # what the first readers load is not the price of each
        before = api.memory_info().rss
        began = time.perf_counter()
        await open_streams(guests[AT_ONCE:])
        opening = time.perf_counter() - began
        await asyncio.sleep(1)
        each = (api.memory_info().rss - before) / (len(guests) - AT_ONCE) / 1024
        delays = await fan_out(site, database, guests)
        idle = await idle_cpu(api)
        for guest in guests:
            await guest.leave()
        await asyncio.sleep(0.2)
        await database.close()
        await announcer.close()
    return [
        Result(f"memory of one stream, {READERS:,} on one process", each, "KB", 25),
        Result("commit to reader, one message to each stream, p50", quantile(delays, 0.5), "ms"),
        Result("commit to reader, one message to each stream, p99", quantile(delays, 0.99), "ms", 100),
        Result("streams opened a second", (READERS - AT_ONCE) / opening, "1/s"),
        Result("CPU of the process while nothing happens", idle, "%"),
    ]


async def invite(site: ChatSite, database: Database) -> list[Guest]:
    """Make a conversation and a token for each reader, past the limits that one address has."""
    assert site.tenant is not None
    tenant, channel = site.tenant, ChannelId(UUID(site.channel))
    tokens = Tokens(Secret(site.environment["METACHAT_SESSION_SECRET"]))
    guests = []
    for number in range(READERS):
        async with open_scope(database, tenant, actor="cli") as scope:
            conversation = await conversations.start(scope, channel, f"reader-{number}")
        token = tokens.issue(Visitor(tenant, channel, f"reader-{number}", conversation.id))
        guests.append(Guest("127.0.0.1", site.port, site.channel, token, conversation.id))
    return guests


async def open_streams(guests: list[Guest]) -> None:
    """Open them no faster than one address may."""
    for number, guest in enumerate(guests):
        await guest.listen()
        if number >= 200:
            await asyncio.sleep(1 / 45)


async def fan_out(site: ChatSite, database: Database, guests: list[Guest]) -> list[float]:
    """Say one thing in each conversation; milliseconds from its commit until its reader has it."""
    assert site.tenant is not None
    delays = []
    for guest in guests:
        assert guest.conversation is not None
        async with open_scope(database, site.tenant, actor="cli") as scope:
            await conversations.hand_off(scope, guest.conversation)
        committed = time.perf_counter()
        async with asyncio.timeout(10):
            while (await guest.events.get())[0] != "message":
                continue
        delays.append((time.perf_counter() - committed) * 1000)
    return delays


async def idle_cpu(process: psutil.Process) -> float:
    """Share of one core that the process takes over four seconds."""
    gc.collect()
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(4)
    return (sum(process.cpu_times()[:2]) - before) / 4 * 100
