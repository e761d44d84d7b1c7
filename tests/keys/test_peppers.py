"""API keys and sessions go on under a new pepper; those that nobody uses meanwhile are told, and end."""

from datetime import timedelta

import pytest
from tests.keys.conftest import House

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, KeyRefused, NotSignedIn, Role, SignIn
from metachat.foundation import clock
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope
from metachat.operations.keys import checks, looking, rotating
from metachat.operations.keys.model import OverlapLasts

NAME = "api_key_pepper"


async def issue(house: House, tenant: TenantId, name: str) -> str:
    """Make an API key under the pepper in use."""
    async with open_scope(house.database, tenant, actor="test") as scope:
        return (await accounts.create_key(scope, name, [ApiScope.ASK], house.ring(NAME))).secret


async def use(database: Database, secret: str, pepper: Keyring) -> TenantId:
    """Come in with an API key, as a request does; tells whose it is."""
    async with database.transaction(credential=pepper.hashes(secret)[0]) as db:
        return (await accounts.resume_key(db, secret, pepper, clock.now())).tenant.id


async def pepper_of(house: House, tenant: TenantId, name: str) -> str:
    """Under which pepper a key is hashed."""
    async with house.database.transaction(tenant=tenant) as db:
        return str(await db.value("SELECT pepper_id FROM api_keys WHERE name = :name", name=name))


async def test_a_key_is_moved_at_its_next_use_and_an_unused_one_ends(
    house: House, tenant: TenantId, stranger: TenantId
) -> None:
    used, unused = await issue(house, tenant, "used"), await issue(house, stranger, "unused")
    before = house.ring(NAME)
    await rotating.rotate(house.there(), NAME)
    pepper = house.ring(NAME)
    assert await pepper_of(house, tenant, "used") == before.current.id
    assert await use(house.database, used, pepper) == tenant
    assert await pepper_of(house, tenant, "used") == pepper.current.id
    # A process that has not taken the new pepper into use yet reads it, too.
    assert await use(house.database, used, pepper.first(before.current.id)) == tenant
    assert await use(house.database, used, pepper) == tenant

    [told] = (await looking.status(house.there(), NAME))["unused_api_keys"]
    assert (told["tenant"], told["name"], told["ends_in"]) == (str(stranger), "unused", unused[-4:])
    with pytest.raises(OverlapLasts):
        await rotating.retire(house.there(), NAME, now=False)
    assert "1 API keys" in await rotating.retire(house.there(), NAME, now=True)
    assert house.ring(NAME).ids == (pepper.current.id,)
    assert await use(house.database, used, house.ring(NAME)) == tenant
    for ring in (house.ring(NAME), pepper, before):
        with pytest.raises(KeyRefused):
            await use(house.database, unused, ring)
    looked = await looking.look(house.there())
    assert [one.name for check in checks.CHECKS for one in check(looked) if not one.passed] == []


async def test_who_is_signed_in_stays_so(house: House, tenant: TenantId) -> None:
    first = await accounts.hash_first_password("correct horse battery")
    async with open_scope(house.database, tenant, actor="test") as scope:
        person = ("ana@acme.example", "Ana")
        await accounts.add_member(scope, person, Role.OWNER, by=Role.OWNER, first_password=first)
    attempt = SignIn("ana@acme.example", "correct horse battery", "127.0.0.1", "test", None)
    before = house.ring(NAME)
    token = (await accounts.sign_in(house.database, attempt, before)).token
    idle = (await accounts.sign_in(house.database, attempt, before)).token
    await rotating.rotate(house.there(), NAME)
    pepper, now = house.ring(NAME), clock.now()
    async with house.database.transaction(credential=pepper.hashes(token)[0]) as db:
        assert (await accounts.resume(db, token, pepper, now)).tenant.id == tenant
    await rotating.retire(house.there(), NAME, now=True)
    pepper = house.ring(NAME)
    async with house.database.transaction(credential=pepper.hashes(token)[0]) as db:
        later = now + timedelta(seconds=1)
        assert (await accounts.resume(db, token, pepper, later)).tenant.id == tenant
    for ring in (pepper, before):
        with pytest.raises(NotSignedIn):
            async with house.database.transaction(credential=ring.hashes(idle)[0]) as db:
                await accounts.resume(db, idle, ring, now)


async def test_a_key_under_a_pepper_that_is_not_here_is_found(house: House, tenant: TenantId) -> None:
    await issue(house, tenant, "lost")
    async with house.database.transaction(tenant=tenant) as db:
        await db.execute("UPDATE api_keys SET pepper_id = 'ffffffffffffffff'")
    [found] = checks.peppers_are_accepted(await looking.look(house.there()))
    assert not found.passed
    assert "1 API keys" in found.found
