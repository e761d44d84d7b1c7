"""Transactions: named parameters, what waits for the commit, and how a lost database is told."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Databases

from metachat.foundation import migrations
from metachat.foundation.db import Database, DatabaseAway, bind
from metachat.foundation.errors import Kind
from metachat.foundation.ids import uuid7


class Heard:
    """Collects what is announced."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def announce(self, topic: str, data: Mapping[str, Any], patience: float = 0) -> None:
        self.events.append((topic, dict(data)))

    def letter(self, topic: str, data: Mapping[str, Any]) -> None:
        """Nothing may be sent any other way."""

    def offer(self, topic: str, take: Any) -> None:
        """Nobody here takes anything."""


def test_names_become_numbers_and_casts_stay() -> None:
    query, values = bind("SELECT :a::text, :b, :a", {"a": 1, "b": 2})
    assert (query, values) == ("SELECT $1::text, $2, $1", [1, 2])


def test_a_value_that_is_not_named_is_an_error() -> None:
    with pytest.raises(TypeError, match="surplus"):
        bind("SELECT :a", {"a": 1, "surplus": 2})
    with pytest.raises(TypeError, match="a"):
        bind("SELECT :a", {})


async def test_announcements_wait_for_the_commit_and_die_with_a_rollback(databases: Databases) -> None:
    heard = Heard()
    database = await Database.open(databases.app, announcer=heard)
    try:
        async with database.transaction() as db:
            db.announce("topic", {"n": 1})
            assert heard.events == []
        assert heard.events == [("topic", {"n": 1})]
        with pytest.raises(ZeroDivisionError):
            async with database.transaction() as db:
                db.announce("topic", {"n": 2})
                raise ZeroDivisionError
        assert heard.events == [("topic", {"n": 1})]
    finally:
        await database.close()


async def test_a_statement_that_was_given_up_leaves_its_connection_usable(databases: Databases) -> None:
    database = await Database.open(databases.app, size=1)
    try:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05), database.statement() as db:
                    await db.value("SELECT pg_sleep(30)")
            async with database.statement() as db:
                assert await db.value("SELECT 7") == 7
    finally:
        await database.close()


async def test_json_and_vectors_travel_both_ways(app_db: Database) -> None:
    async with app_db.transaction() as db:
        assert await db.value("SELECT :v::jsonb", v={"a": [1, "ž"]}) == {"a": [1, "ž"]}
        assert await db.value("SELECT :v::halfvec", v=[0.5, -2.0]) == [0.5, -2.0]


async def test_a_database_that_is_away_is_named_so() -> None:
    with pytest.raises(DatabaseAway) as refused:
        await Database.open("postgresql://nobody@localhost:1/none")
    assert refused.value.kind is Kind.UNAVAILABLE


async def test_migrating_twice_changes_nothing_and_tampering_is_noticed(
    databases: Databases, tmp_path: Path
) -> None:
    assert await migrations.migrate(databases.owner) == []
    for migration in migrations.read_all():
        (tmp_path / f"{migration.name}.sql").write_text(migration.sql + "-- altered")
    with pytest.raises(migrations.MigrationChanged):
        await migrations.migrate(databases.owner, tmp_path)


async def test_a_database_of_a_newer_version_is_refused(databases: Databases) -> None:
    connection = await asyncpg.connect(databases.owner)
    try:
        await connection.execute("INSERT INTO schema_migrations VALUES (9999, '9999_future', 'x')")
    finally:
        await connection.close()
    with pytest.raises(migrations.DatabaseNewer, match="9999"):
        await migrations.migrate(databases.owner)


@given(st.integers(min_value=2, max_value=50))
def test_ids_sort_by_time_and_say_their_version(count: int) -> None:
    ids = [uuid7() for _ in range(count)]
    assert all(made.version == 7 for made in ids)
    assert [made.int >> 80 for made in ids] == sorted(made.int >> 80 for made in ids)
