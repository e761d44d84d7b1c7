"""A customer asks, and reads one answer with its sources as it is written."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
from tests.chat import house
from tests.conftest import Databases, Server

Visit = Callable[..., Awaitable[house.Visitor]]


async def test_an_answer_streams_in_and_cites_its_sources(visit: Visit, worker: Any) -> None:
    visitor = await visit()
    heard = await visitor.hears("How long does delivery to Austria take?")
    streamed = "".join(event.data["text"] for event in heard if event.name == "token")
    answer = heard[-1].data
    assert answer["text"] == streamed
    assert answer["text"].startswith("Delivery to Austria takes two working days [1].")
    assert answer["citations"][0]["document"] == "shipping.md"
    assert answer["citations"][0]["quote"] in house.FACTS[0]
    assert (answer["author"], answer["declined"]) == ("assistant", False)
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]


async def test_a_message_sent_twice_is_one_message_with_one_answer(
    visit: Visit, worker: Any, scripted: house.Scripted
) -> None:
    visitor = await visit()
    first = await visitor.says("Hello there, delivery?", "key-12345678")
    second = await visitor.says("Hello there, delivery?", "key-12345678")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    await _answered(visitor)
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]
    assert len(scripted.asked) == 1


async def test_the_same_key_at_the_same_time_is_stored_once(visit: Visit) -> None:
    visitor = await visit()
    answers = await asyncio.gather(*(visitor.says("Delivery?", "key-12345678") for _ in range(6)))
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [message["seq"] for message in await visitor.history()] == [1]


async def test_a_key_of_another_visitor_is_another_message(visit: Visit) -> None:
    ana, bruno = await visit(), await visit()
    first = await ana.says("Mine", "key-12345678")
    second = await bruno.says("Also mine", "key-12345678")
    assert first.json()["id"] != second.json()["id"]
    assert [message["text"] for message in await bruno.history()] == ["Also mine"]


async def test_a_burst_gets_one_answer(visit: Visit, databases: Databases, scripted: house.Scripted) -> None:
    visitor = await visit()
    for text in ("Hello,", "I have a question:", "How long does delivery to Austria take?"):
        await visitor.says(text)
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        await _answered(visitor)
    authors = [message["author"] for message in await visitor.history()]
    assert authors == ["customer", "customer", "customer", "assistant"]
    assert scripted.asked == ["Hello,\nI have a question:\nHow long does delivery to Austria take?"]


async def test_a_message_during_the_answer_gets_the_next_one(
    visit: Visit, worker: Any, scripted: house.Scripted
) -> None:
    scripted.pause = 0.15
    visitor = await visit()
    async with asyncio.timeout(15), visitor.reads() as events:
        await visitor.says("How long does delivery to Austria take?")
        answers = 0
        async for event in events:
            if event.name == "token" and answers == 0 and len(scripted.asked) == 1:
                await visitor.says("And how long is the warranty?")
                answers = 1
            if event.name == "message" and event.data["author"] == "assistant":
                answers += 1
                if answers == 3:
                    break
    authors = [message["author"] for message in await visitor.history()]
    assert authors == ["customer", "customer", "assistant", "assistant"]
    assert len(scripted.asked) == 2


async def test_a_reader_who_comes_back_reads_only_what_is_new(visit: Visit, worker: Any) -> None:
    visitor = await visit()
    await visitor.hears("How long does delivery to Austria take?")
    async with asyncio.timeout(5), visitor.reads(after=1) as events:
        first = await anext(events)
    assert (first.name, first.id, first.data["author"]) == ("message", "2", "assistant")
    async with asyncio.timeout(5), visitor.reads(after=2) as events:
        assert (await anext(events)).name == "state"


async def test_long_messages_arrive_like_short_ones(visit: Visit) -> None:
    visitor = await visit()
    texts = ["Hello,", "a long story. " * 500 + "End", "ž" * 4_000, "and that was it."]
    heard: list[house.Event] = []
    async with asyncio.timeout(15), visitor.reads() as events:
        async for event in events:
            if event.name == "state":
                for text in texts:
                    await visitor.says(text)
            elif event.name == "message":
                heard.append(event)
                if len(heard) == len(texts):
                    break
    assert [event.data["text"] for event in heard] == texts
    assert [event.data for event in heard] == await visitor.history()


async def test_a_reader_in_the_middle_of_an_answer_gets_its_beginning(
    visit: Visit, worker: Any, scripted: house.Scripted
) -> None:
    scripted.pause = 0.5
    visitor = await visit()
    async with asyncio.timeout(15):
        async with visitor.reads() as events:
            await visitor.says("How long does delivery to Austria take?")
            pieces = [event async for event in _tokens(events, 2)]
        async with visitor.reads(after=1) as events:
            text, late = "", pieces[0].data["message"]
            async for event in events:
                if event.name == "token":
                    assert event.data["message"] == late
                    assert event.data["offset"] <= len(text)
                    text = text[: event.data["offset"]] + event.data["text"]
                elif event.name == "message":
                    assert event.data["text"] == text
                    return


async def test_news_that_got_lost_is_read_from_the_database(
    visit: Visit, worker: Any, postgres: Server, databases: Databases
) -> None:
    visitor = await visit()
    async with asyncio.timeout(15), visitor.reads() as events:
        assert (await anext(events)).name == "state"
        connection = await asyncpg.connect(postgres.superuser_dsn(databases.name))
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name IN ('metachat listener', 'metachat announcer')"
        )
        await connection.close()
        await visitor.says("How long does delivery to Austria take?")
        async for event in events:
            if event.name == "message" and event.data["author"] == "assistant":
                break
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]


async def _tokens(events: AsyncIterator[house.Event], count: int) -> AsyncIterator[house.Event]:
    async for event in events:
        if event.name == "token":
            yield event
            count -= 1
            if not count:
                return


async def _answered(visitor: house.Visitor) -> None:
    async with asyncio.timeout(15):
        async with visitor.reads() as events:
            async for event in events:
                if event.name == "message" and event.data["author"] != "customer":
                    return
