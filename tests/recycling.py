"""Used databases made like new, at a fraction of what a copy of the template costs.

Only rows are put back. A database whose schema, rights or settings a test has changed is thrown away.
Each has another name when it is used again, so that whoever was left running cannot find it.
"""

import asyncio
from dataclasses import dataclass, field

import asyncpg

# What deleted rows may take up in all; beyond it a copy is cheaper than looking past them.
_ROOM = 4 * 1024 * 1024

# Whatever a test may change about a schema leaves a row in one of these, under that transaction's number.
_CATALOGS = (
    "pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl", "pg_event_trigger",
    "pg_extension", "pg_index", "pg_namespace", "pg_policy", "pg_proc", "pg_publication", "pg_rewrite",
    "pg_sequence", "pg_trigger", "pg_type",
)  # fmt: skip

_SHAPE = " UNION ALL ".join(
    f"SELECT '{catalog}' AS catalog, count(*) AS rows, sum(xmin::text::bigint) AS changes FROM {catalog}"
    for catalog in _CATALOGS
)

_TABLES = (
    "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)
_SEQUENCES = "SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence"
_LEAVE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
_UNTOUCHED = """
SELECT pg_database_size(oid) FROM pg_database WHERE datname = $1 AND datconnlimit = -1 AND datallowconn
AND datacl IS NULL AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = oid)
"""


@dataclass
class Recycling:
    """Databases that look like new ones again, and what a new one looks like."""

    ready: list[str] = field(default_factory=list)
    _shape: list[asyncpg.Record] = field(default_factory=list)
    _tables: list[str] = field(default_factory=list)
    _rows: dict[str, str] = field(default_factory=dict)
    _size: int = 0

    async def learn(self, dsn: str, template: str) -> None:
        """See what a new database looks like."""
        connection = await asyncpg.connect(dsn, database=template)
        try:
            self._tables = [row[0] for row in await connection.fetch(_TABLES)]
            for table in self._tables:
                if rows := await connection.fetchval(f"SELECT json_agg(t) FROM {table} t"):
                    self._rows[table] = rows
            self._size = await connection.fetchval("SELECT pg_database_size(current_database())")
            self._shape = await connection.fetch(_SHAPE)
        finally:
            await connection.close()

    async def renew(self, dsn: str, used: str, name: str) -> bool:
        """Give a used database another name and its first rows; False when it has to be thrown away.

        dsn: the superuser's, to any other database.
        """
        try:
            if not await self._rename(dsn, used, name):
                return False
            inside = await asyncpg.connect(dsn, database=name)
            try:
                if not await self._empty(inside):
                    return False
            finally:
                await inside.close()
        except asyncpg.PostgresError:
            return False
        self.ready.append(name)
        return True

    async def _rename(self, dsn: str, used: str, name: str) -> bool:
        connection = await asyncpg.connect(dsn)
        try:
            size = await connection.fetchval(_UNTOUCHED, used)
            if size is None or size > self._size + _ROOM:
                return False
            # Postgres itself looks every 100 ms only whether they have gone.
            while await connection.fetch(_LEAVE, used):
                await asyncio.sleep(0.002)
            await connection.execute(f'ALTER DATABASE "{used}" RENAME TO "{name}"')
        finally:
            await connection.close()
        return True

    async def _empty(self, connection: asyncpg.Connection) -> bool:
        if await connection.fetch(_SHAPE) != self._shape:
            return False
        held = " UNION ALL ".join(f"SELECT '{t}' WHERE EXISTS (SELECT FROM {t})" for t in self._tables)
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = 'replica'")  # no triggers
            for (table,) in await connection.fetch(held):
                await connection.execute(f"DELETE FROM {table}")
            for table, rows in self._rows.items():
                await connection.execute(
                    f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1)", rows
                )
            await connection.execute(_SEQUENCES)
        return True
