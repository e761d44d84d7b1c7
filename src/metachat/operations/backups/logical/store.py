"""The statements of exports and imports; as superuser, since every tenant's rows are read and written."""

import contextlib
import os
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import asyncpg

from metachat.operations.backups.logical.form import Key, Sequence

# Of the running processes, or of this version: never carried over.
_OF_THE_MOMENT = ("schema_migrations", "key_holders", "paces")
# Rows that a database has before anybody uses it, once its processes ran; the export's replace them.
_SEEDED = ("key_records", "traffic_progress", "jobs", "lanes", "workers", "throttles", "rate_levels")
# Where both lie, what is nobody's is the platform's own work, which it plans for itself at every start.
_OF_TENANTS = {"jobs": "tenant_id IS NOT NULL"}

_TABLES = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       greatest(c.reltuples, 0)::bigint AS estimate
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 WHERE n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> ALL($1::text[])
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
 GROUP BY c.oid, c.relname, c.reltuples ORDER BY 1
"""
_SEQUENCES = """
SELECT sequencename AS name, coalesce(last_value, start_value) AS value, last_value IS NOT NULL AS called
  FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1
"""
_KEYS = "SELECT name, id, state FROM key_records ORDER BY 1, 2"
_MIGRATION = "SELECT max(number) FROM schema_migrations"
_MAJOR = "SELECT current_setting('server_version_num')::int / 10000"


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[asyncpg.Connection]:
    """Connect as the superuser; for root, who is none, as the account `postgres` of this machine."""
    with _as_postgres() if os.geteuid() == 0 and "@" not in address else contextlib.nullcontext():
        connection = await asyncpg.connect(address, command_timeout=None)
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.contextmanager
def _as_postgres() -> Iterator[None]:
    # Postgres asks the system who is at the other end, at the moment of the connection.
    os.seteuid(pwd.getpwnam("postgres").pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


async def tables(db: asyncpg.Connection) -> tuple[dict[str, tuple[str, ...]], dict[str, int]]:
    """Tables with their columns, and with their estimated number of rows."""
    rows = await db.fetch(_TABLES, list(_OF_THE_MOMENT))
    return {row["name"]: tuple(row["columns"]) for row in rows}, {
        row["name"]: row["estimate"] for row in rows
    }


async def sequences(db: asyncpg.Connection) -> dict[str, Sequence]:
    """Where the sequences stand."""
    return {row["name"]: Sequence(row["value"], row["called"]) for row in await db.fetch(_SEQUENCES)}


async def keys(db: asyncpg.Connection) -> tuple[Key, ...]:
    """The keys that the rows are under."""
    return tuple(Key(row["name"], row["id"], row["state"]) for row in await db.fetch(_KEYS))


async def migration(db: asyncpg.Connection) -> int:
    """The newest migration that was applied; 0 without any."""
    if await db.fetchval("SELECT to_regclass('public.schema_migrations')") is None:
        return 0
    return int(await db.fetchval(_MIGRATION) or 0)


async def major(db: asyncpg.Connection) -> int:
    """The version of Postgres."""
    return int(await db.fetchval(_MAJOR) or 0)


async def filled(db: asyncpg.Connection, names: Mapping[str, object]) -> list[str]:
    """The tables that hold something which an empty database would not."""
    own = {name: "true" for name in names if name not in _SEEDED} | _OF_TENANTS
    asked = {name: f'SELECT EXISTS (SELECT FROM "{name}" WHERE {which})' for name, which in own.items()}  # noqa: S608
    return [name for name, sql in asked.items() if await db.fetchval(sql)]


async def read(
    db: asyncpg.Connection, name: str, columns: tuple[str, ...], take: Callable[[bytes], Awaitable[None]]
) -> int:
    """Read a whole table as COPY writes it; tells its rows."""
    listed = ", ".join(f'"{column}"' for column in columns)
    done = await db.copy_from_query(f'SELECT {listed} FROM "{name}"', output=take)  # noqa: S608 our own names
    return int(done.split()[-1])


async def write(
    db: asyncpg.Connection, name: str, columns: tuple[str, ...], content: AsyncIterator[bytes]
) -> int:
    """Write a table from what COPY wrote; tells its rows."""
    done = await db.copy_to_table(name, source=content, columns=list(columns), timeout=None)
    return int(done.split()[-1])


async def make_room(db: asyncpg.Connection) -> None:
    """Prepare a transaction for rows in any order, and take out what an empty database has."""
    await db.execute("SET LOCAL session_replication_role = 'replica'")
    await db.execute(f"TRUNCATE {', '.join(_SEEDED)}")


async def place(db: asyncpg.Connection, stand: Mapping[str, Sequence]) -> None:
    """Put the sequences where they stood."""
    for name, one in stand.items():
        await db.execute(
            "SELECT setval(format('public.%I', $1::text)::regclass, $2, $3)", name, one.value, one.called
        )


async def settle(address: str) -> None:
    """Let the planner know the rows."""
    async with connected(address) as db:
        await db.execute("ANALYZE")
