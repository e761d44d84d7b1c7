"""What is asked for while one batch is written is the next batch."""

import asyncio
from collections.abc import Sequence

import pytest

from metachat.foundation.db import DatabaseAway
from metachat.foundation.gathering import Gathering


class Book:
    """Writes numbers; refuses those below zero, and is away for thousands."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.open.wait()
        if any(item < 0 for item in items):
            raise ValueError("below zero")
        if any(item >= 1000 for item in items):
            raise DatabaseAway("gone")
        return [item * 2 for item in items]


async def test_those_who_wait_are_written_together() -> None:
    book = Book()
    book.open.clear()
    gathering = Gathering(book.write)
    asked = [asyncio.create_task(gathering.add(number)) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    more = [asyncio.create_task(gathering.add(number)) for number in range(5, 9)]
    await asyncio.sleep(0)
    book.open.set()
    assert await asyncio.gather(*asked, *more) == [number * 2 for number in range(9)]
    assert len(book.batches) == 2
    assert sum(map(len, book.batches)) == 9


async def test_one_that_fails_does_so_alone() -> None:
    book = Book()
    gathering = Gathering(book.write)
    outcomes = await asyncio.gather(*map(gathering.add, (1, -1, 2)), return_exceptions=True)
    assert [outcomes[0], outcomes[2]] == [2, 4]
    assert isinstance(outcomes[1], ValueError)


async def test_when_the_database_is_away_nothing_is_tried_again() -> None:
    book = Book()
    gathering = Gathering(book.write)
    outcomes = await asyncio.gather(*map(gathering.add, (1, 1000)), return_exceptions=True)
    assert all(isinstance(outcome, DatabaseAway) for outcome in outcomes)
    assert len(book.batches) == 1
    with pytest.raises(DatabaseAway):
        await gathering.add(2000)


async def test_as_many_writers_as_wanted_work_at_once() -> None:
    book = Book()
    book.open.clear()
    gathering = Gathering(book.write, writers=2)
    asked = []
    for number in range(3):
        asked.append(asyncio.create_task(gathering.add(number)))
        for _ in range(3):
            await asyncio.sleep(0)
    assert book.batches == [[0], [1]]
    book.open.set()
    assert await asyncio.gather(*asked) == [0, 2, 4]


async def test_whoever_comes_as_a_batch_ends_is_not_forgotten() -> None:
    gathering = Gathering(Book().write)
    async with asyncio.timeout(5):
        for number in range(50):
            assert await gathering.add(number) == number * 2
