"""Postgres through asyncpg: transactions that carry their tenant, SQL with named parameters."""

import asyncio
import contextlib
import functools
import re
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from metachat.foundation.errors import Unavailable
from metachat.foundation.ids import TenantId
from metachat.foundation.realtime import Announces


class DatabaseAway(Unavailable):
    """The database cannot be reached; try again shortly."""

    code = "database_away"


class Transaction:
    """An open transaction; what it announces goes out after its commit, and never when it rolls back."""

    __slots__ = ("_after", "_announcements", "connection")

    def __init__(self, connection: asyncpg.pool.PoolConnectionProxy) -> None:
        self.connection = connection
        self._announcements: list[tuple[str, dict[str, Any]]] = []
        self._after: list[Callable[[], None]] = []

    async def one(self, sql: str, **values: Any) -> dict[str, Any] | None:
        """Read the first row, or None."""
        query, arguments = bind(sql, values)
        row = await self.connection.fetchrow(query, *arguments)
        return None if row is None else dict(row)

    async def all(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Read all rows."""
        query, arguments = bind(sql, values)
        return [dict(row) for row in await self.connection.fetch(query, *arguments)]

    async def value(self, sql: str, **values: Any) -> Any:
        """Read the first column of the first row, or None."""
        query, arguments = bind(sql, values)
        return await self.connection.fetchval(query, *arguments)

    async def execute(self, sql: str, **values: Any) -> int:
        """Run a statement and tell how many rows it touched."""
        query, arguments = bind(sql, values)
        status = await self.connection.execute(query, *arguments)
        last = status.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def many(self, sql: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Run one statement for each row, in one round trip."""
        query, names = compile_named(sql)
        await self.connection.executemany(query, [[row[name] for name in names] for row in rows])

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail alone: raising undoes just this part."""
        await self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            await _undo(self.connection, "ROLLBACK TO part; RELEASE part")
            raise
        await self.connection.execute("RELEASE part")

    def announce(self, topic: str, data: dict[str, Any]) -> None:
        """Send a realtime event after the commit."""
        self._announcements.append((topic, data))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once the transaction is durable."""
        self._after.append(call)

    def committed(self, announcer: Announces | None) -> None:
        """Let go of what waited for the commit; only Database calls this."""
        if announcer is not None:
            for topic, data in self._announcements:
                announcer.announce(topic, data)
        for call in self._after:
            call()


class Database:
    """A pool of connections under one role."""

    def __init__(self, pool: asyncpg.Pool, announcer: Announces | None) -> None:
        self._pool = pool
        self.announcer = announcer

    @classmethod
    async def open(cls, dsn: str, *, size: int = 10, announcer: Announces | None = None) -> "Database":
        """Connect; raises DatabaseAway when nothing answers within 10 seconds."""
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=size, timeout=10, command_timeout=60,
                max_inactive_connection_lifetime=60,
                init=_prepare_connection, reset=_keep_session,
                # Plans stay cached; one application name tells our sessions apart in pg_stat_activity.
                server_settings={"application_name": "metachat", "jit": "off"},
            )  # fmt: skip
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            raise DatabaseAway(f"connecting failed: {type(error).__name__}") from error
        return cls(pool, announcer)

    async def close(self) -> None:
        """Close every connection, waiting at most five seconds for those in use."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(
        self, tenant: TenantId | None = None, credential: str | None = None
    ) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one tenant's rows, and the row that `credential` reveals.

        Without a tenant it sees no tenant's rows at all. Raises DatabaseAway.
        """
        async with self._connection() as connection:
            transaction = Transaction(connection)
            async with _begun(connection, tenant, credential):
                yield transaction
        transaction.committed(self.announcer)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """Run one statement, which commits by itself: a third of the round trips; it sees no tenant's rows.

        Whoever leaves this by an error cannot know whether it was committed. Raises DatabaseAway.
        """
        async with self._connection() as connection:
            transaction = Transaction(connection)
            yield transaction
        transaction.committed(self.announcer)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        try:
            connection = await self._pool.acquire(timeout=10)
        except (
            OSError,
            TimeoutError,
            asyncpg.PostgresConnectionError,
            asyncpg.CannotConnectNowError,
        ) as error:
            raise DatabaseAway(f"no connection: {type(error).__name__}") from error
        try:
            yield connection
        except _AWAY as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The farewell to a lost connection failed too; whoever cancelled us must still see it.
                raise asyncio.CancelledError from error
            raise DatabaseAway(f"connection lost: {type(error).__name__}") from error
        finally:
            await self._pool.release(connection)


_AWAY = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, ConnectionError)


@asynccontextmanager
async def _begun(
    connection: asyncpg.pool.PoolConnectionProxy, tenant: TenantId | None, credential: str | None
) -> AsyncIterator[None]:
    # What says who asks is local to the transaction, so that a pooled connection carries nothing over.
    try:
        await connection.execute("BEGIN" if tenant is None else _begin_for(tenant))
        if credential is not None:
            await connection.execute("SELECT set_config('metachat.credential', $1, true)", credential)
        yield
    except BaseException:
        await _undo(connection, "ROLLBACK")
        raise
    await connection.execute("COMMIT")


def _begin_for(tenant: TenantId) -> str:
    # One round trip instead of two takes a literal; only the text of a real UUID may become one.
    if not isinstance(tenant, UUID):
        raise TypeError("a tenant is named by its UUID")
    return f"BEGIN; SET LOCAL metachat.tenant = '{tenant}'"


async def _undo(connection: asyncpg.pool.PoolConnectionProxy, how: str) -> None:
    # A connection that is gone has undone everything; what ended it is the better message.
    if not connection.is_closed():
        await connection.execute(how)


_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")


def bind(sql: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Turn named parameters into Postgres's numbered ones, with their values in order.

    Raises TypeError for a parameter without a value, and for a value without a parameter.
    """
    query, names = compile_named(sql)
    if values.keys() != set(names):
        raise TypeError(f"parameters and values differ: {sorted(values.keys() ^ set(names))}")
    return query, [values[name] for name in names]


@functools.lru_cache(maxsize=2048)
def compile_named(sql: str) -> tuple[str, tuple[str, ...]]:
    """Compile `:name` parameters to `$n`; casts (`::type`) stay as they are."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${names.setdefault(match.group(1), len(names) + 1)}"

    return _PARAMETER.sub(number, sql), tuple(names)


async def _prepare_connection(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=_encode_jsonb, decoder=_decode_jsonb
    )
    with contextlib.suppress(ValueError):  # before the first migration there is no such type
        await connection.set_type_codec(
            "halfvec", schema="public", format="binary", encoder=_encode_halfvec, decoder=_decode_halfvec
        )


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> Any:
    return msgspec.json.decode(data[1:])


def _encode_halfvec(vector: Sequence[float]) -> bytes:
    # pgvector's wire form: dimension, an unused word, then half-precision floats, all big-endian.
    return struct.pack(f">HH{len(vector)}e", len(vector), 0, *vector)


def _decode_halfvec(data: bytes) -> list[float]:
    (dimension, _) = struct.unpack_from(">HH", data)
    return list(struct.unpack_from(f">{dimension}e", data, 4))


async def _keep_session(connection: asyncpg.Connection) -> None:
    # The default reset costs a round trip; we only ever use SET LOCAL and transaction-level locks.
    return None
