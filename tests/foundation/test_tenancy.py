"""The second wall: what row-level security shows to the roles that the product really uses."""

import asyncpg
import pytest
from tests.conftest import Databases

from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId


async def tenant_tables(db_superuser: asyncpg.Connection) -> list[str]:
    rows = await db_superuser.fetch(
        "SELECT c.relname FROM pg_class c"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace"
    )
    return [row["relname"] for row in rows]


OUTSIDE_THE_WALL = {"jobs", "dead_jobs", "lanes", "inbox"}


async def test_every_tenant_table_forces_row_level_security(databases: Databases) -> None:
    connection = await asyncpg.connect(databases.superuser)
    try:
        tables = set(await tenant_tables(connection)) - OUTSIDE_THE_WALL
        assert {"tenants", "members", "documents", "chunks", "conversations", "messages"} <= tables
        rows = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relname = ANY($1) AND relrowsecurity AND relforcerowsecurity",
            list(tables),
        )
        assert {row["relname"] for row in rows} == tables
    finally:
        await connection.close()


@pytest.mark.parametrize("role", ["owner", "app", "worker"])
async def test_without_a_tenant_nothing_is_seen(databases: Databases, tenant: TenantId, role: str) -> None:
    connection = await asyncpg.connect(getattr(databases, role))
    try:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
        async with connection.transaction():
            await connection.execute("SELECT set_config('metachat.tenant', $1, true)", str(tenant))
            assert await connection.fetchval("SELECT count(*) FROM tenants") == 1
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
    finally:
        await connection.close()


async def test_a_tenant_sees_and_writes_only_its_own(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    async with app_db.transaction(tenant=stranger) as db:
        rows = await db.all("SELECT tenant_id FROM tenants")
        assert [row["tenant_id"] for row in rows] == [stranger]
        assert await db.execute("UPDATE tenants SET name = 'x' WHERE tenant_id = :id", id=tenant) == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with app_db.transaction(tenant=stranger) as db:
            await db.execute("INSERT INTO events (tenant_id, kind) VALUES (:tenant, 'forged')", tenant=tenant)


async def test_the_application_role_is_neither_owner_nor_superuser(databases: Databases) -> None:
    connection = await asyncpg.connect(databases.app)
    try:
        row = await connection.fetchrow(
            "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        )
        assert tuple(row) == (False, False, False)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("ALTER TABLE tenants DISABLE ROW LEVEL SECURITY")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM jobs")
    finally:
        await connection.close()
