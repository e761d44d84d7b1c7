"""Keys replaced while processes run, killed at every step, and proven to be gone."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from tests.conftest import Databases
from tests.keys.conftest import House

from metachat.foundation.ids import TenantId
from metachat.foundation.key_records import KeyringMismatch
from metachat.foundation.keyring import Key
from metachat.operations.keys import checks, looking, rotating
from metachat.operations.keys.model import (
    NeverStarted,
    NothingToResume,
    NothingToRetire,
    OverlapLasts,
    ProcessesBehind,
    RotationRunning,
    RowsBroken,
)
from metachat.operations.keys.store import alone, open_ledger
from metachat.operations.secrets.known import make

NAME = "encryption_key"


class Killed(BaseException):
    """The rotation is killed here."""


async def as_owner(databases: Databases, statement: str) -> None:
    """Change what the platform's own roles may not."""
    connection = await asyncpg.connect(databases.owner)
    await connection.execute(statement)
    await connection.close()


async def bad(house: House) -> list[str]:
    """The names of the checks that find something."""
    looked = await looking.look(house.there())
    return [one.name for check in checks.CHECKS for one in check(looked) if not one.passed]


async def test_everything_sealed_is_moved_and_the_old_key_is_gone(
    house: House, tenant: TenantId, stranger: TenantId
) -> None:
    before = house.ring(NAME)
    told = await rotating.rotate(house.there(), NAME)
    after = house.ring(NAME)
    assert len(after.keys) == 1
    assert after.current.id != before.current.id
    assert await house.states(NAME) == {before.current.id: "retired", after.current.id: "current"}
    # A model key, one of a fallback, three secrets of a channel and three answers, for two tenants.
    assert "all 16 encrypted rows" in told
    assert await house.is_readable(tenant)
    assert await house.is_readable(stranger)
    looked = await looking.look(house.there())
    assert dict(looked.sealed.under) == {after.current.id: 16}
    assert await bad(house) == []


@pytest.mark.parametrize("line", range(5))
async def test_a_rotation_that_was_killed_goes_on(
    house: House, tenant: TenantId, stranger: TenantId, line: int
) -> None:
    before, said = house.ring(NAME).current.id, list[str]()

    def say(text: str) -> None:
        if len(said) == line:
            raise Killed
        said.append(text)

    with pytest.raises(Killed):
        await rotating.rotate(house.there(say), NAME)
    assert await house.is_readable(tenant)
    # A process that starts meanwhile finds its keys in order, whatever step it comes into.
    await (await house.starts("api")).close()
    await rotating.resume(house.there(), NAME)
    assert (await house.states(NAME))[before] == "retired"
    assert house.ring(NAME).find(before) is None
    assert len(await house.states(NAME)) == 2
    assert await house.is_readable(tenant)
    assert await house.is_readable(stranger)
    assert await bad(house) == []
    with pytest.raises(NothingToResume):
        await rotating.resume(house.there(), NAME)


async def test_no_key_comes_into_use_before_every_process_has_it(house: House, tenant: TenantId) -> None:
    before = house.ring(NAME)
    process = await house.starts("worker")
    with pytest.raises(ProcessesBehind, match="worker"):
        await rotating.rotate(house.there(patience=0.6), NAME)
    assert (await house.states(NAME))[before.current.id] == "current"
    assert house.ring(NAME).current == before.current
    assert len(house.ring(NAME).keys) == 2
    assert await house.is_readable(tenant)
    # It starts anew: with both keys, and the old one in use. The next step waits for it again.
    await process.close()
    process = await house.starts("worker")
    with pytest.raises(ProcessesBehind):
        await rotating.resume(house.there(patience=0.6), NAME)
    assert (await house.states(NAME))[before.current.id] == "old"
    await process.close()
    await rotating.resume(house.there(), NAME)
    assert (await house.states(NAME))[before.current.id] == "retired"


async def test_the_old_key_stays_as_long_as_a_row_does_not_open(house: House, tenant: TenantId) -> None:
    before = house.ring(NAME).current.id
    break_it = "UPDATE idempotency_keys SET body_sealed = body_sealed || '\\x00' WHERE key = 'key-1'"
    async with house.database.transaction(tenant=tenant) as db:
        assert await db.execute(break_it) == 1
    with pytest.raises(RowsBroken, match=r"idempotency_keys.body_sealed of tenant .*, row key-1"):
        await rotating.rotate(house.there(), NAME)
    assert (await house.states(NAME))[before] == "old"
    assert house.ring(NAME).find(before)
    assert "rows open" in await bad(house)
    async with house.database.transaction(tenant=tenant) as db:
        await db.execute("DELETE FROM idempotency_keys WHERE key = 'key-1'")
    await rotating.resume(house.there(), NAME)
    assert await bad(house) == []


async def test_a_secret_moved_to_a_stranger_is_found(
    house: House, tenant: TenantId, stranger: TenantId
) -> None:
    async with house.database.transaction(tenant=tenant) as db:
        theirs = await db.value("SELECT api_key_sealed FROM assistants")
    async with house.database.transaction(tenant=stranger) as db:
        await db.execute("UPDATE assistants SET api_key_sealed = :sealed", sealed=theirs)
    looked = await looking.look(house.there())
    [broken] = looked.sealed.broken
    assert (broken.column, broken.tenant) == ("assistants.api_key_sealed", stranger)


async def test_one_rotation_at_a_time(house: House) -> None:
    async with open_ledger(house.there().database()) as ledger, alone(ledger):
        with pytest.raises(RotationRunning):
            await rotating.rotate(house.there(), "session_secret")


async def test_keys_of_another_database_are_refused(house: House) -> None:
    known = house.ring(NAME).current.id
    house.there().keep(NAME, make())
    with pytest.raises(KeyringMismatch, match=known):
        await house.starts("worker")
    with pytest.raises(KeyringMismatch, match=known):
        await rotating.rotate(house.there(), NAME)
    assert "keys match" in await bad(house)


async def test_a_key_that_nobody_announced_is_refused(house: House) -> None:
    ring = house.ring(NAME)
    stray = Key.of(make().reveal())
    house.there().keep(NAME, ring.also(stray).first(stray.id).to_secret())
    with pytest.raises(KeyringMismatch, match="secrets rotate"):
        await house.starts("api")


async def test_a_platform_that_never_ran_has_nothing_to_rotate(house: House, databases: Databases) -> None:
    await as_owner(databases, "DELETE FROM key_records")
    with pytest.raises(NeverStarted):
        await rotating.rotate(house.there(), NAME)


async def test_two_processes_that_start_first_agree(house: House, databases: Databases) -> None:
    await as_owner(databases, "DELETE FROM key_records")
    first, second = await asyncio.gather(house.starts("api"), house.starts("api"))
    assert list((await house.states(NAME)).values()) == ["current"]
    await first.close()
    await second.close()


async def test_an_old_signing_key_is_accepted_until_its_time_is_over(
    house: House, databases: Databases
) -> None:
    before = house.ring("session_secret").current.id
    told = await rotating.rotate(house.there(), "session_secret")
    assert "--retire" in told
    ring = house.ring("session_secret")
    assert (ring.current.id != before, ring.find(before) is not None) == (True, True)
    again = await rotating.rotate(house.there(), "session_secret")
    assert again == told
    with pytest.raises(OverlapLasts):
        await rotating.retire(house.there(), "session_secret", now=False)
    await as_owner(
        databases, "UPDATE key_records SET old_since = now() - interval '92 days' WHERE state = 'old'"
    )
    assert "rotations finished" in await bad(house)
    await rotating.retire(house.there(), "session_secret", now=False)
    assert house.ring("session_secret").ids == (ring.current.id,)
    assert await bad(house) == []
    with pytest.raises(NothingToRetire):
        await rotating.retire(house.there(), "session_secret", now=True)


async def test_a_key_in_use_for_too_long_is_told(house: House) -> None:
    looked = await looking.look(house.there())
    old = [replace(one, current_since=one.recorded_at.replace(year=2024)) for one in looked.records]
    found = checks.keys_in_use_are_young(replace(looked, records=old))
    assert [one.passed for one in found] == [False] * 3
