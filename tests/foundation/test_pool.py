"""Connections are lent to one at a time, handed on in order, and never lent broken."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from tests.conftest import Databases

from metachat.foundation.pool import Pool


class Site:
    """A pool of two on a real database, and what it has connected so far."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.made: list[asyncpg.Connection] = []
        self.away = False

    async def connect(self) -> asyncpg.Connection:
        """Connect, unless the database is away."""
        if self.away:
            raise ConnectionRefusedError
        connection = await asyncpg.connect(self.dsn)
        self.made.append(connection)
        return connection

    def pool(self, size: int = 2, **times: Any) -> Pool:
        """A pool of connections made here."""
        return Pool(self.connect, size, **times)


@pytest.fixture
async def site(databases: Databases) -> AsyncIterator[Site]:
    """The site, whose connections are closed at the end."""
    made = Site(databases.app)
    yield made
    for connection in made.made:
        connection.terminate()


async def test_one_that_was_given_back_is_lent_again(site: Site) -> None:
    pool = site.pool()
    first = await pool.take()
    pool.give(first)
    assert await pool.take() is first
    assert await pool.take() is not first
    assert len(site.made) == 2


async def test_who_comes_when_all_are_lent_waits_in_line(site: Site) -> None:
    pool = site.pool(1)
    only = await pool.take()
    order: list[int] = []

    async def borrow(number: int) -> None:
        connection = await pool.take()
        order.append(number)
        await asyncio.sleep(0)
        pool.give(connection)

    waiting = [asyncio.create_task(borrow(number)) for number in range(5)]
    await asyncio.sleep(0)
    waiting[2].cancel()
    pool.give(only)
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [0, 1, 3, 4]
    assert len(site.made) == 1


async def test_whoever_is_cancelled_as_it_comes_hands_it_on(site: Site) -> None:
    pool = site.pool(1)
    only = await pool.take()
    early, late = asyncio.create_task(pool.take()), asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give(only)
    early.cancel()
    assert await late is only
    with pytest.raises(asyncio.CancelledError):
        await early


async def test_nobody_waits_for_ever(site: Site) -> None:
    pool = site.pool(1, patience=0.05)
    only = await pool.take()
    with pytest.raises(TimeoutError):
        await pool.take()
    pool.give(only)
    assert await pool.take() is only


async def test_broken_ones_are_replaced(site: Site) -> None:
    pool = site.pool()
    lost, open_one = await pool.take(), await pool.take()
    lost.terminate()
    await open_one.execute("BEGIN")
    waiting = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give(lost)
    pool.give(open_one)
    fresh = [await waiting, await pool.take()]
    assert not {lost, open_one} & set(fresh)
    assert open_one.is_closed()
    pool.give(fresh[0])
    fresh[0].terminate()  # dies while nobody has it
    assert not (await pool.take()).is_closed()


async def test_a_database_that_comes_back_is_connected_to(site: Site) -> None:
    pool = site.pool(1)
    site.away = True
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await pool.take()
    site.away = False
    assert not (await pool.take()).is_closed()


async def test_what_nobody_wants_is_closed(site: Site) -> None:
    pool = site.pool(idle=0.05)
    connection = await pool.take()
    pool.give(connection)
    async with asyncio.timeout(5):
        while not connection.is_closed():
            await asyncio.sleep(0.01)
    assert await pool.take() is not connection


async def test_closing_waits_for_what_is_lent(site: Site) -> None:
    pool = site.pool()
    idle, lent = await pool.take(), await pool.take()
    pool.give(idle)
    closing = asyncio.create_task(pool.close())
    assert await lent.fetchval("SELECT 7") == 7
    pool.give(lent)
    await closing
    assert idle.is_closed()
    assert lent.is_closed()
