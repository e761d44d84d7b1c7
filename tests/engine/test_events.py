"""Events are written with their cause, and whoever keeps up with a cursor misses none."""

import asyncio
import random

import pytest

from metachat.domain import events
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope

WRITERS, EACH = 8, 25


async def test_an_event_is_there_when_its_cause_is(app_db: Database, tenant: TenantId) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_scope(app_db, tenant, actor="test") as scope:
            await events.record(scope, "never")
            _ = 1 / 0
    async with open_scope(app_db, tenant, actor="test") as scope:
        assert await events.read_after(scope, 0, limit=10) == []


async def test_a_cursor_misses_nothing_while_many_write(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    chance = random.Random(7)

    async def write(writer: int, of: TenantId) -> None:
        for number in range(EACH):
            async with open_scope(app_db, of, actor="test") as scope:
                await events.record(scope, "written", writer=writer, number=number)
                # Who began first commits last, now and then: ids are given before they can be seen.
                await asyncio.sleep(chance.random() * 0.02)

    writing = asyncio.gather(
        *(write(writer, tenant) for writer in range(WRITERS)),
        *(write(writer, stranger) for writer in range(2)),
    )
    read: list[events.Event] = []
    async with asyncio.timeout(60):
        while not writing.done() or len(read) < WRITERS * EACH:
            cursor = read[-1].id if read else 0
            async with open_scope(app_db, tenant, actor="test") as scope:
                read += await events.read_after(scope, cursor, limit=7)
            await asyncio.sleep(0)
    await writing
    ids = [event.id for event in read]
    assert ids == sorted(set(ids))
    for writer in range(WRITERS):
        numbers = [event.data["number"] for event in read if event.data["writer"] == writer]
        assert numbers == list(range(EACH)), "none was skipped, none came twice"


async def test_what_an_open_transaction_may_precede_is_not_shown_yet(
    app_db: Database, tenant: TenantId
) -> None:
    async with open_scope(app_db, tenant, actor="test") as slow:
        await events.record(slow, "first")
        async with open_scope(app_db, tenant, actor="test") as quick:
            await events.record(quick, "second")
        async with open_scope(app_db, tenant, actor="test") as scope:
            assert await events.read_after(scope, 0, limit=10) == []
    async with open_scope(app_db, tenant, actor="test") as scope:
        assert [event.kind for event in await events.read_after(scope, 0, limit=10)] == ["first", "second"]
