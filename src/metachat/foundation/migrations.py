"""Migrations: numbered SQL files, each applied once, in its own transaction, under a lock."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from metachat.foundation.errors import Kind, Refusal

# Any number will do, as long as every version of the product uses the same one.
_LOCK = 4_201_776_543

# The other login of a role, which its password's rotation changes to and back from.
SECOND = "_2"

_NAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")


class DatabaseNewer(Refusal):
    """The database was made by a newer version of metachat; start that version, or restore a backup."""

    code = "database_newer"
    kind = Kind.CONFLICT


class MigrationChanged(Refusal):
    """A migration that was already applied has changed since; restore the file as it was."""

    code = "migration_changed"
    kind = Kind.CONFLICT


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """What it said when it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def folder() -> Path:
    """Where the SQL files lie: inside the installed package, or beside the sources."""
    packaged = Path(__file__).parent.parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "migrations"


def read_all(where: Path | None = None) -> list[Migration]:
    """Read all migrations in order of their numbers."""
    found = []
    for path in sorted((where or folder()).glob("*.sql")):
        match = _NAME.match(path.name)
        if match is None:
            raise ValueError(f"{path.name}: expected a name like 0007_add_labels.sql")
        found.append(Migration(int(match.group(1)), path.stem, path.read_text()))
    return found


def newest() -> int:
    """Tell the number of the newest migration this version knows."""
    return max(migration.number for migration in read_all())


async def prepare(superuser_dsn: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create the roles, the database and its extension where they are missing; sets the passwords.

    passwords: by login (metachat_owner, metachat_app, metachat_worker, or the second of each).
    superuser_dsn leads to any database of the server.
    """
    connection = await asyncpg.connect(superuser_dsn)
    try:
        for role, password in passwords.items():
            await ensure_login(connection, role, password)
        exists = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database)
        if not exists:
            await connection.execute(f'CREATE DATABASE "{database}" OWNER metachat_owner')
    finally:
        await connection.close()
    inside = await asyncpg.connect(superuser_dsn, database=database)
    try:
        await inside.execute("CREATE EXTENSION IF NOT EXISTS vector")
        # Row-level security lets only leakproof conditions reach an index. `tsvector @@ tsquery` is one in
        # fact (it compares words and raises nothing about them); marked so, full-text search may use its
        # index. Only a superuser can say so: elsewhere a search reads all of its tenant's chunks instead.
        await inside.execute("ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF")
        await inside.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        await inside.execute("GRANT USAGE, CREATE ON SCHEMA public TO metachat_owner")
    finally:
        await inside.close()


async def migrate(owner_dsn: str, where: Path | None = None) -> list[str]:
    """Apply what is missing and name it; raises DatabaseNewer, MigrationChanged."""
    connection = await asyncpg.connect(owner_dsn)
    try:
        await connection.execute("SET lock_timeout = '5s'")
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await connection.execute("GRANT SELECT ON schema_migrations TO metachat_app, metachat_worker")
        return await _apply_missing(connection, read_all(where))
    finally:
        await connection.close()


async def _apply_missing(connection: asyncpg.Connection, known: list[Migration]) -> list[str]:
    rows = await connection.fetch("SELECT number, sha256 FROM schema_migrations")
    applied = {row["number"]: row["sha256"] for row in rows}
    unknown = set(applied) - {migration.number for migration in known}
    if unknown:
        raise DatabaseNewer(f"it has migration {max(unknown)}; this version knows up to {known[-1].number}")
    done = []
    for migration in known:
        if migration.number in applied:
            if applied[migration.number] != migration.sha256:
                raise MigrationChanged(migration.name)
            continue
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)",
                migration.number, migration.name, migration.sha256,
            )  # fmt: skip
        done.append(migration.name)
    return done


async def ensure_login(connection: asyncpg.Connection, role: str, password: str) -> None:
    """Let a role sign in with a password, or with what its SCRAM verifier says; as superuser.

    metachat_app_2 is the other login of metachat_app: it becomes that role as soon as it signs in.
    """
    await _ensure_role(connection, role)
    await _run(connection, "ALTER ROLE %I LOGIN PASSWORD %L", role, password)
    if role.endswith(SECOND):
        first = role.removesuffix(SECOND)
        await _ensure_role(connection, first)
        await _run(connection, "GRANT %I TO %I", first, role)
        await _run(connection, "ALTER ROLE %I SET role = %L", role, first)


async def _ensure_role(connection: asyncpg.Connection, role: str) -> None:
    exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    await _run(connection, f"{'ALTER' if exists else 'CREATE'} ROLE %I NOSUPERUSER NOBYPASSRLS", role)


async def _run(connection: asyncpg.Connection, statement: str, *names: str) -> None:
    # Names and passwords cannot be parameters of DDL: Postgres itself quotes them.
    parameters = ", ".join(f"${number}::text" for number in range(2, len(names) + 2))
    filled = await connection.fetchval(f"SELECT format($1, {parameters})", statement, *names)
    await connection.execute(str(filled))
