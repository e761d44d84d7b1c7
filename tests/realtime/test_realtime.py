"""Realtime: events reach every process quickly, in order; whoever may have missed some is told so."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tests.conftest import Databases

from metachat.foundation.announcing import Announcer, pack
from metachat.foundation.db import Database
from metachat.foundation.realtime import LOST, Listener, Subscription


@pytest.fixture
async def announcer(databases: Databases) -> AsyncIterator[Announcer]:
    made = Announcer(databases.worker)
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def listener(databases: Databases) -> AsyncIterator[Listener]:
    made = Listener(databases.app)
    made.start()
    await eventually(lambda: made.connected)
    yield made
    await made.close()


async def eventually(condition: Any, within: float = 10) -> None:
    """Wait for a condition, and fail when it doesn't come true in time."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.005)


async def take(reader: Subscription, count: int) -> list[Any]:
    """Receive so many events, each within five seconds."""
    return [await reader.next(within=5) for _ in range(count)]


async def cut(databases: Databases, name: str) -> None:
    """Cut the connection of that name, as a server that restarts does."""
    superuser = await asyncpg.connect(databases.superuser)
    await superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = $1 AND datname = current_database()",
        name,
    )
    await superuser.close()


async def test_an_event_reaches_only_the_readers_of_its_topic(announcer: Announcer, listener: Listener):
    async with (
        listener.subscribe("conversation:1") as first,
        listener.subscribe("conversation:1") as second,
        listener.subscribe("conversation:2") as stranger,
    ):
        announcer.announce("conversation:1", {"type": "message", "seq": 7})
        assert await first.next(within=5) == {"type": "message", "seq": 7}
        assert await second.next(within=5) == {"type": "message", "seq": 7}
        assert await stranger.next(within=0.05) is None


async def test_a_flood_arrives_complete_and_in_order(announcer: Announcer, listener: Listener):
    wide = Listener(listener._dsn, backlog=6000)
    wide.start()
    await eventually(lambda: wide.connected)
    async with wide.subscribe("conversation:1") as reader:
        for number in range(5000):
            announcer.announce("conversation:1", {"n": number})
        assert [event["n"] for event in await take(reader, 5000)] == list(range(5000))
    await wide.close()


async def test_an_idle_announcement_takes_milliseconds(announcer: Announcer, listener: Listener):
    async with listener.subscribe("conversation:1") as reader:
        times = []
        for _ in range(50):
            began = time.perf_counter()
            announcer.announce("conversation:1", {"type": "typing"})
            assert await reader.next(within=5)
            times.append(time.perf_counter() - began)
    print(f"announce to receive: p50 {sorted(times)[25] * 1000:.2f} ms")
    assert sorted(times)[25] < 0.02


async def test_a_long_text_travels_in_pieces_that_fit(announcer: Announcer, listener: Listener):
    text = "Öffnungszeiten 🕗 " * 2000
    async with listener.subscribe("conversation:1") as reader:
        announcer.announce("conversation:1", {"type": "token", "message": "m", "offset": 3, "text": text})
        announcer.announce("conversation:1", {"type": "end"})
        received = ""
        while (event := await reader.next(within=5)) != {"type": "end"}:
            assert event is not None
            assert event["offset"] == 3 + len(received)
            received += event["text"]
    assert received == text


async def test_an_event_too_large_makes_its_readers_read_again(announcer: Announcer, listener: Listener):
    async with listener.subscribe("tenant:1") as reader:
        announcer.announce("tenant:1", {"names": ["x" * 9000]})
        assert await reader.next(within=5) == LOST


async def test_a_reader_who_lags_is_told_once_and_goes_on(announcer: Announcer, databases: Databases):
    listener = Listener(databases.app, backlog=10)
    listener.start()
    await eventually(lambda: listener.connected)
    async with listener.subscribe("conversation:1") as slow, listener.subscribe("conversation:2") as other:
        for number in range(11):
            announcer.announce("conversation:1", {"n": number})
        announcer.announce("conversation:2", {"n": 0})
        assert await other.next(within=5) == {"n": 0}
        announcer.announce("conversation:1", {"n": 11})
        assert await take(slow, 2) == [LOST, {"n": 11}]
    await listener.close()


async def test_after_a_cut_the_listener_tells_every_reader(
    announcer: Announcer, listener: Listener, databases: Databases
):
    async with listener.subscribe("conversation:1") as first, listener.subscribe("tenant:1") as second:
        await cut(databases, "metachat listener")
        assert await first.next(within=5) == LOST
        assert await second.next(within=5) == LOST
        announcer.announce("conversation:1", {"n": 1})
        assert await first.next(within=5) == {"n": 1}


async def test_after_a_cut_the_announcer_sends_what_waited(
    announcer: Announcer, listener: Listener, databases: Databases
):
    async with listener.subscribe("conversation:1") as reader:
        announcer.announce("conversation:1", {"n": 0})
        assert await reader.next(within=5) == {"n": 0}
        await cut(databases, "metachat announcer")
        announcer.announce("conversation:1", {"n": 1})
        assert await reader.next(within=5) == {"n": 1}


async def test_what_a_full_buffer_drops_is_told(listener: Listener, databases: Databases):
    announcer = Announcer(databases.worker, capacity=3)
    async with listener.subscribe("conversation:1") as reader, listener.subscribe("tenant:1") as other:
        for number in range(5):
            announcer.announce("conversation:1", {"n": number})
        announcer.start()
        await eventually(lambda: announcer.sent == 3)
        events = [await reader.next(within=5)]
        while events[-1] != LOST:
            events.append(await reader.next(within=5))
        assert announcer.dropped == 2
        assert await other.next(within=0.05) is None
    await announcer.close()


async def test_close_sends_what_waits(listener: Listener, databases: Databases):
    announcer = Announcer(databases.worker)
    announcer.start()
    async with listener.subscribe("conversation:1") as reader:
        announcer.announce("conversation:1", {"n": 1})
        await announcer.close()
        assert await reader.next(within=5) == {"n": 1}


async def test_a_database_that_is_away_delays_and_breaks_nothing():
    announcer, listener = (
        Announcer("postgresql://nobody@127.0.0.1:1/x"),
        Listener("postgresql://x@127.0.0.1:1/x"),
    )
    announcer.start()
    listener.start()
    async with listener.subscribe("conversation:1") as reader:
        announcer.announce("conversation:1", {"n": 1})
        assert await reader.next(within=0.3) is None
    await listener.close()
    await announcer.close()


async def test_announcements_follow_the_commit_and_die_with_a_rollback(
    announcer: Announcer, listener: Listener, databases: Databases
):
    database = await Database.open(databases.app, announcer=announcer)
    async with listener.subscribe("tenant:1") as reader:
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as db:
                db.announce("tenant:1", {"n": 0})
                _ = 1 / 0
        async with database.transaction() as db:
            db.announce("tenant:1", {"n": 1})
            assert announcer.sent == 0
        assert await reader.next(within=5) == {"n": 1}
    await database.close()


async def test_a_thousand_readers_cost_a_few_kilobytes_each(listener: Listener):
    subscriptions = [listener.subscribe(f"conversation:{n}") for n in range(1000)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    readers = [await subscription.__aenter__() for subscription in subscriptions]
    waiting = [asyncio.create_task(reader.next(within=5)) for reader in readers]
    await asyncio.sleep(0)
    each = (tracemalloc.get_traced_memory()[0] - before) / 1000
    tracemalloc.stop()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for subscription in subscriptions:
        await subscription.__aexit__(None, None, None)
    print(f"one waiting reader: {each:.0f} bytes")
    assert each < 4096
    assert not listener._readers


@pytest.mark.parametrize("topic", ["", "Wake", "a b", ":x", "x" * 30])
def test_a_topic_must_name_its_channel(topic: str):
    with pytest.raises(ValueError, match="not a topic"):
        pack([(topic, {})])
