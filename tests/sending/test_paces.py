"""Providers' limits, kept by all workers together."""

import asyncio
import time

from tests.conftest import Databases
from tests.sending.conftest import ANA, Shop

from metachat.domain.channels import Pace
from metachat.domain.conversations.deliveries.pacing import Pacer, Place
from metachat.foundation.db import Database

NUMBER = Pace("number", 1.0, 10)


async def test_two_workers_share_one_limit(databases: Databases) -> None:
    first, second = await Database.open(databases.worker), await Database.open(databases.worker)
    pacers = Pacer(first), Pacer(second)
    places = await asyncio.gather(*(pacers[number % 2].take((NUMBER,)) for number in range(30)))
    # Ten at once, one that is held ready for its time, and the others are to come back one by one.
    assert sum(place.given and place.wait == 0 for place in places) == 10
    assert [0.5 < place.wait <= 1 for place in places if place.given and place.wait] == [True]
    waiting = sorted(place.wait for place in places if not place.given)
    assert len(waiting) == 19
    assert 1 < waiting[0] <= 2
    assert waiting[-1] >= 8
    await first.close()
    await second.close()


async def test_over_time_it_lets_through_what_the_limit_says(worker_db: Database) -> None:
    pacer, pace = Pacer(worker_db), Pace("quick", 0.02, 5)
    begun, went = time.monotonic(), 0

    async def one() -> None:
        nonlocal went
        while not (place := await pacer.take((pace,))).given:
            await asyncio.sleep(place.wait)
        await asyncio.sleep(place.wait)
        went += 1

    await asyncio.gather(*(one() for _ in range(60)))
    took = time.monotonic() - begun
    assert went == 60
    assert took >= (60 - 5) * 0.02 * 0.98


async def test_a_message_that_may_not_go_counts_against_none_of_its_limits(worker_db: Database) -> None:
    pacer, full = Pacer(worker_db), Pace("full", 100.0, 1)
    assert (await pacer.take((NUMBER, full))).given
    for _ in range(20):
        assert not (await pacer.take((NUMBER, full))).given
    assert [(await pacer.take((NUMBER,))).wait for _ in range(9)] == [0] * 9
    assert (await pacer.take((NUMBER,))).wait > 0


async def test_no_limit_costs_nothing(worker_db: Database) -> None:
    assert await Pacer(worker_db).take(()) == Place(given=True)


async def test_an_answer_counts_once_against_its_limits(shop: Shop) -> None:
    await shop.set(number_limit=0.1, pair_pause=100)
    async with shop.worker():
        await shop.says(ANA, "How long does delivery take?")
        await shop.received(1)
        await shop.until("SELECT FROM messages WHERE author = 'assistant' AND status <> 'queued'")
    owed = await shop.rows("SELECT due - extract(epoch FROM now())::float8 AS owed FROM paces ORDER BY pause")
    assert [0 < row["owed"] <= pause for row, pause in zip(owed, (10, 100), strict=True)] == [True, True]


async def test_one_person_is_written_to_no_faster_than_meta_allows(shop: Shop) -> None:
    await shop.set(pair_pause=1.5, pair_burst=2)
    shop.meta.rates(pair_seconds=1.4, pair_burst=2)
    async with shop.worker():
        id = await shop.greeted()
        messages = [await shop.answers(id, f"Part {number}") for number in range(3)]
        await shop.came_to(messages[-1], "sent", within=20)
    assert shop.at_phones()[1:] == ["Part 0", "Part 1", "Part 2"]
    # Our own limit held: Meta never had to say so, and nobody was kept from sending to others.
    assert not await shop.rows("SELECT FROM messages WHERE detail ? 'waiting'")
    assert not await shop.rows("SELECT FROM events WHERE kind = 'channel.trouble'")


async def test_a_full_number_waits_and_loses_nothing(shop: Shop) -> None:
    await shop.set(number_limit=5)
    phones = [f"3859110000{number:02d}" for number in range(12)]
    async with shop.worker():
        for phone in phones:
            await shop.says(phone, "How long does delivery take?")
        answers = await shop.received(12, within=30)
    assert len(answers) == 12
    assert {seen.phone for seen in shop.meta.arrivals()} == set(phones)


async def test_order_holds_within_a_conversation_whatever_goes_wrong(shop: Shop) -> None:
    async with shop.worker(outcome_wait=0.3):
        id = await shop.greeted(ANA)
        shop.meta.fails("error", code=131000, share=0.3)
        shop.meta.fails("cut", share=0.1)
        said = [f"Line {number}" for number in range(12)]
        messages = [await shop.answers(id, text) for text in said]
        await shop.came_to(messages[-1], "sent", within=60)
    assert [text for text in shop.at_phones(ANA) if text.startswith("Line")] == said
