"""The second wall: what the database itself refuses to the role that the application really uses."""

import asyncpg
import pytest

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope

PEPPER = Keyring.of("a pepper of more than thirty-two bytes")

# Without a tenant by design, each with its reason.
OUTSIDE = {
    "throttles": "counts tries under hashed keys, and holds no tenant's data",
    "rate_levels": "how far callers' limits are used up, under hashed keys, and holds no tenant's data",
    "schema_migrations": "says which migrations ran",
    "key_records": "the fingerprints of the platform's own keys",
    "paces": "how far providers' limits are used up, under keys that the application never reads",
    "traffic_progress": "how far the inbox has been counted: a time and a number",
    "key_holders": "which process of the platform holds which keys",
}
# Their own policies are stricter than a tenant's column: a row is revealed to whom it concerns.
OWN_POLICY = {"users"}


async def fill(database: Database, tenant: TenantId, slug: str) -> None:
    """Give a tenant a member, a key and a trail."""
    first = await accounts.hash_first_password("correct horse battery")
    async with open_scope(database, tenant, actor="test") as scope:
        person = (f"owner@{slug}.example", "Owner")
        await accounts.add_member(scope, person, Role.OWNER, by=Role.OWNER, first_password=first)
        await accounts.create_key(scope, "key", [ApiScope.ASK], PEPPER)


async def test_without_a_tenant_nothing_is_there(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    await fill(app_db, tenant, "acme")
    await fill(app_db, stranger, "stranger")
    async with app_db.transaction() as db:
        for table in ("tenants", "users", "members", "api_keys", "audit_log", "sessions", "idempotency_keys"):
            assert await db.value(f"SELECT count(*) FROM {table}") == 0, table


async def test_a_tenant_sees_its_own_rows_only(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    await fill(app_db, tenant, "acme")
    await fill(app_db, stranger, "stranger")
    async with app_db.transaction(tenant=tenant) as db:
        assert await db.value("SELECT slug FROM tenants") == "acme"
        assert await db.value("SELECT email FROM users") == "owner@acme.example"
        assert {row["tenant_id"] for row in await db.all("SELECT tenant_id FROM audit_log")} == {tenant}
        # Even a statement that forgot its WHERE touches no stranger's row.
        assert await db.execute("UPDATE api_keys SET name = 'mine'") == 1
        assert (
            await db.execute("UPDATE api_keys SET name = 'x' WHERE tenant_id = :other", other=stranger) == 0
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with app_db.transaction(tenant=tenant) as db:
            await db.execute(
                "INSERT INTO members (tenant_id, user_id, role) SELECT :other, id, 'owner' FROM users",
                other=stranger,
            )


async def test_a_credential_reveals_its_own_row_and_lets_nothing_be_written(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    await fill(app_db, tenant, "acme")
    await fill(app_db, stranger, "stranger")
    async with app_db.transaction(credential="acme") as db:
        assert [row["slug"] for row in await db.all("SELECT slug FROM tenants")] == ["acme"]
        assert await db.execute("UPDATE tenants SET name = 'taken'") == 0
        assert await db.value("SELECT count(*) FROM members") == 0
    async with app_db.transaction(credential="owner@acme.example") as db:
        assert [row["email"] for row in await db.all("SELECT email FROM users")] == ["owner@acme.example"]


async def test_the_trail_can_be_added_to_but_not_changed(app_db: Database, tenant: TenantId) -> None:
    await fill(app_db, tenant, "acme")
    for statement in ("UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with app_db.transaction(tenant=tenant) as db:
                await db.execute(statement)


async def test_the_application_cannot_read_the_queue(app_db: Database) -> None:
    for table in sorted(QUEUE):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with app_db.transaction() as db:
                await db.all(f"SELECT * FROM {table}")


async def test_the_worker_cannot_read_what_lets_people_in(worker_db: Database, tenant: TenantId) -> None:
    for table in ("users", "sessions", "api_keys", "idempotency_keys"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with worker_db.transaction(tenant=tenant) as db:
                await db.all(f"SELECT * FROM {table}")


async def test_the_application_is_neither_owner_nor_above_the_wall(app_db: Database) -> None:
    async with app_db.transaction() as db:
        role = await db.one(
            "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
        )
        owned = await db.value("SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole")
    assert role == {"rolname": "metachat_app", "rolsuper": False, "rolbypassrls": False}
    assert owned == 0


async def test_every_table_of_tenants_is_behind_the_wall(app_db: Database) -> None:
    async with app_db.transaction() as db:
        tables = await db.all(TABLES)
    by_tenant = [one for one in tables if one["has_tenant"] and one["name"] not in QUEUE | FILLED_FOR_ALL]
    assert len(by_tenant) > 10
    open_ones = [
        one["name"] for one in by_tenant if not (one["enabled"] and one["forced"] and one["own_tenant"])
    ]
    assert open_ones == []
    rest = {one["name"] for one in tables if not one["has_tenant"]} - OUTSIDE.keys() - QUEUE
    assert rest == OWN_POLICY
    assert all(one["enabled"] and one["forced"] for one in tables if one["name"] in OWN_POLICY)


# The worker takes jobs of every tenant; the application's role may add jobs and read none.
QUEUE = {"jobs", "lanes", "dead_jobs", "workers"}
# The worker takes updates of every tenant; the application's role reads its own tenant's and adds them
# through one function, which works as the owner.
FILLED_FOR_ALL = {"inbox"}

TABLES = """
SELECT c.relname AS name, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced,
  EXISTS (SELECT FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS has_tenant,
  EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'own_tenant') AS own_tenant
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
"""
