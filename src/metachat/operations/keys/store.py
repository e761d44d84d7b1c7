"""SQL of the rotation, under the owner's role: records of keys, who holds them, and the encrypted rows."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from metachat.foundation.key_records import ENDED_AFTER
from metachat.foundation.sealed_columns import SealedColumn
from metachat.operations.keys.model import Holder, Record, RotationRunning

# Any number will do, as long as every version of the product uses the same one.
_LOCK = 4_201_776_544

_RECORDS = "SELECT * FROM key_records WHERE $1::text IS NULL OR name = $1 ORDER BY name, recorded_at"
_HOLDERS = """
SELECT role, host, pid, rings, started_at FROM key_holders
WHERE seen_at > now() - make_interval(secs => $1) ORDER BY role, started_at
"""
_ACCEPT = "INSERT INTO key_records (name, id, state) VALUES ($1, $2, 'accepted') ON CONFLICT DO NOTHING"
# Held until the commit: a process that starts meanwhile waits, and sees which key is in use then.
_LOCK_RECORDS = "SELECT FROM key_records WHERE name = $1 FOR UPDATE"
_MAKE_OLD = "UPDATE key_records SET state = 'old', old_since = now() WHERE name = $1 AND state = 'current'"
_MAKE_CURRENT = """
UPDATE key_records SET state = 'current', current_since = now()
WHERE name = $1 AND id = $2 AND state = 'accepted'
"""
_RETIRE = """
UPDATE key_records SET state = 'retired', retired_at = now() WHERE name = $1 AND id = $2 AND state = 'old'
"""
_COUNT_MOVED = "UPDATE key_records SET rows_done = rows_done + $3 WHERE name = $1 AND id = $2"
_EXPECT = "UPDATE key_records SET rows_total = rows_done + $3 WHERE name = $1 AND id = $2"

_TENANTS = "SELECT tenant_id FROM tenants ORDER BY tenant_id"
_KEYS_UNDER = """
SELECT id, name, prefix, last_four, last_used_at FROM api_keys
WHERE tenant_id = $1 AND pepper_id <> $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
ORDER BY id
"""
_PEPPERS = """
SELECT pepper_id, count(*) AS keys FROM api_keys
WHERE tenant_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) GROUP BY pepper_id
"""
_EXPIRE_KEYS = """
UPDATE api_keys SET expires_at = now()
WHERE tenant_id = $1 AND pepper_id <> $2 AND (expires_at IS NULL OR expires_at > now())
"""
_END_SESSIONS = "DELETE FROM sessions WHERE tenant_id = $1 AND pepper_id <> $2"


class Ledger:
    """A connection to the records of keys."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def records(self, name: str | None = None) -> list[Record]:
        """What is recorded of the keys of a name, or of all, the oldest first."""
        return [Record(**row) for row in await self.connection.fetch(_RECORDS, name)]

    async def holders(self) -> list[Holder]:
        """The processes that run, and what they hold."""
        rows = await self.connection.fetch(_HOLDERS, ENDED_AFTER)
        return [Holder(**{**row, "rings": json.loads(row["rings"])}) for row in rows]

    async def accept(self, name: str, id: str) -> None:
        """Record a key that is going to be in use."""
        await self.connection.execute(_ACCEPT, name, id)

    async def make_current(self, name: str, id: str) -> list[Holder]:
        """Record that a key is in use, unless there are processes that don't have it: these are told."""
        async with self.connection.transaction():
            await self.connection.execute(_LOCK_RECORDS, name)
            behind = [one for one in await self.holders() if name in one.rings and id not in one.rings[name]]
            if not behind:
                await self.connection.execute(_MAKE_OLD, name)
                await self.connection.execute(_MAKE_CURRENT, name, id)
        return behind

    async def retire(self, name: str, id: str) -> None:
        """Record that nothing is under an old key any more."""
        await self.connection.execute(_RETIRE, name, id)

    async def expect(self, name: str, id: str, rows: int) -> None:
        """Record how many rows are still to be moved."""
        await self.connection.execute(_EXPECT, name, id, rows)

    async def tenants(self) -> list[UUID]:
        """Every tenant."""
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL metachat.operator = 'on'")
            return [row["tenant_id"] for row in await self.connection.fetch(_TENANTS)]

    @asynccontextmanager
    async def of_tenant(self, tenant: UUID) -> AsyncIterator["TenantLedger"]:
        """A transaction within one tenant."""
        async with self.connection.transaction():
            await self.connection.execute("SELECT set_config('metachat.tenant', $1, true)", str(tenant))
            yield TenantLedger(self.connection, tenant)


class TenantLedger:
    """What keys are for, within one tenant."""

    def __init__(self, connection: asyncpg.Connection, tenant: UUID) -> None:
        self._connection = connection
        self._tenant = tenant

    async def rows(self, column: SealedColumn, after: str | None, limit: int, head: bytes) -> list[Any]:
        """Encrypted values (row, stored) in the order of their rows, but for those that begin with `head`."""
        return await self._connection.fetch(
            _rows(column, after), self._tenant, after, limit, _head(column, head)
        )

    async def count(self, column: SealedColumn, head: bytes) -> int:
        """How many values do not begin with `head`."""
        found = await self._connection.fetchval(_count(column), self._tenant, _head(column, head))
        return int(found or 0)

    async def exchange(self, column: SealedColumn, moved: Sequence[tuple[str, Any, Any]]) -> int:
        """Put values (row, was, new) in place, where nobody was faster; tells how many were."""
        rows, was, new = zip(*moved, strict=True)
        status = await self._connection.execute(_exchange(column), self._tenant, rows, was, new)
        return int(status.rsplit(" ", 1)[-1])

    async def count_moved(self, name: str, id: str, rows: int) -> None:
        """Record, with the very commit that moves them, that so many more rows are under a key."""
        await self._connection.execute(_COUNT_MOVED, name, id, rows)

    async def keys_not_under(self, pepper: str) -> list[Any]:
        """API keys that work and are not hashed under a pepper."""
        return await self._connection.fetch(_KEYS_UNDER, self._tenant, pepper)

    async def peppers(self) -> dict[str, int]:
        """How many API keys that work are hashed under which pepper."""
        rows = await self._connection.fetch(_PEPPERS, self._tenant)
        return {row["pepper_id"]: row["keys"] for row in rows}

    async def end_all_not_under(self, pepper: str) -> tuple[int, int]:
        """End API keys and sessions that are not hashed under a pepper; tells how many."""
        keys = await self._connection.execute(_EXPIRE_KEYS, self._tenant, pepper)
        sessions = await self._connection.execute(_END_SESSIONS, self._tenant, pepper)
        return int(keys.rsplit(" ", 1)[-1]), int(sessions.rsplit(" ", 1)[-1])


@asynccontextmanager
async def open_ledger(dsn: str) -> AsyncIterator[Ledger]:
    """Connect as the owner."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=120)
    try:
        yield Ledger(connection)
    finally:
        await connection.close(timeout=5)


@asynccontextmanager
async def alone(ledger: Ledger) -> AsyncIterator[None]:
    """Be the only one who rotates; raises RotationRunning. A connection that ends lets go by itself."""
    if not await ledger.connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise RotationRunning
    try:
        yield
    finally:
        await ledger.connection.fetchval("SELECT pg_advisory_unlock($1)", _LOCK)


# The names that stand in these statements come from foundation.sealed_columns.


def _value(column: SealedColumn) -> str:
    return f"{column.column} ->> '{column.path}'" if column.path else column.column


def _head(column: SealedColumn, head: bytes) -> bytes | str:
    # Nine bytes are twelve letters of base64, to the letter.
    return column.stored(head)


def _under_another(column: SealedColumn, parameter: str) -> str:
    length, kind = (12, "text") if column.path else (9, "bytea")
    value = f"({_value(column)})"
    return f"{value} IS NOT NULL AND substring({value} FROM 1 FOR {length}) <> {parameter}::{kind}"


def _rows(column: SealedColumn, after: str | None) -> str:
    row = column.row or "tenant_id"
    beyond = f"{row} > $2::text::{column.row_type}"
    return (
        f"SELECT {row}::text AS row, {_value(column)} AS stored FROM {column.table}"  # noqa: S608
        # Two statements, so that the one that goes on finds its place in the index.
        f" WHERE tenant_id = $1 AND {'$2::text IS NULL' if after is None else beyond}"
        f" AND {_under_another(column, '$4')} ORDER BY {row} LIMIT $3"
    )


def _count(column: SealedColumn) -> str:
    return f"SELECT count(*) FROM {column.table} WHERE tenant_id = $1 AND {_under_another(column, '$2')}"  # noqa: S608


def _exchange(column: SealedColumn) -> str:
    kind = "text" if column.path else "bytea"
    new = (
        f"jsonb_set(t.{column.column}, '{{{column.path}}}', to_jsonb(moved.new))"
        if column.path
        else "moved.new"
    )
    row = column.row or "tenant_id"
    return (
        f"UPDATE {column.table} t SET {column.column} = {new}"  # noqa: S608
        f" FROM unnest($2::text[], $3::{kind}[], $4::{kind}[]) AS moved(row, was, new)"
        f" WHERE t.tenant_id = $1 AND t.{row} = moved.row::{column.row_type}"
        f" AND t.{_value(column)} = moved.was"
    )
