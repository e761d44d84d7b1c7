"""Postgres through asyncpg: transactions that carry their tenant, SQL with named parameters."""

import asyncio
import functools
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import asyncpg

from metachat.foundation.connecting import Plans, connect
from metachat.foundation.errors import Unavailable
from metachat.foundation.ids import TenantId
from metachat.foundation.pool import Pool
from metachat.foundation.realtime import Announces


class DatabaseAway(Unavailable):
    """The database cannot be reached; try again shortly."""

    code = "database_away"


class Transaction:
    """An open transaction; what it announces goes out after its commit, and never when it rolls back."""

    __slots__ = ("_after", "_announcements", "connection")

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._announcements: list[tuple[str, dict[str, Any], float]] = []
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

    def announce(self, topic: str, data: dict[str, Any], patience: float = 0) -> None:
        """Send a realtime event after the commit, at most so many seconds later, with others."""
        self._announcements.append((topic, data, patience))

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once the transaction is durable."""
        self._after.append(call)

    def committed(self, announcer: Announces | None) -> None:
        """Let go of what waited for the commit; only Database calls this."""
        if announcer is not None:
            for topic, data, patience in self._announcements:
                announcer.announce(topic, data, patience)
        for call in self._after:
            call()


class Database:
    """A pool of connections under one role."""

    def __init__(self, pool: Pool, announcer: Announces | None) -> None:
        self._pool = pool
        self._plans: WeakKeyDictionary[asyncpg.Connection, _Age] = WeakKeyDictionary()
        self.announcer = announcer

    @classmethod
    async def open(
        cls, dsn: str, *, size: int = 10, announcer: Announces | None = None, plans: Plans = "auto"
    ) -> "Database":
        """Connect; raises DatabaseAway when nothing answers within 10 seconds.

        plans "once" has each connection plan a statement once, whatever its values are, without reading whole
        tables: right where all of them look rows up by their keys.
        """
        database = cls(Pool(functools.partial(connect, dsn, plans), size), announcer)
        database.give(await database.take())
        return database

    async def close(self) -> None:
        """Close every connection, waiting at most five seconds for those in use."""
        await self._pool.close()

    @property
    def use(self) -> dict[str, int]:
        """How the pool is used: connections lent, idle and waited for, and the most there can be."""
        return self._pool.use

    def transaction(
        self, tenant: TenantId | None = None, credential: str | None = None
    ) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction that sees one tenant's rows, and the row that `credential` reveals.

        Without a tenant it sees no tenant's rows at all. Raises DatabaseAway.
        """
        return _Opened(self, "BEGIN" if tenant is None else _begin_for(tenant), credential)

    def statement(self) -> AbstractAsyncContextManager[Transaction]:
        """Run statements that each commit by themselves, which saves round trips; they see no tenant's rows.

        Whoever leaves this by an error cannot know what was committed. Raises DatabaseAway.
        """
        return _Opened(self, None, None)

    async def take(self) -> asyncpg.Connection:
        """Borrow a connection; only a transaction calls this. Raises DatabaseAway."""
        try:
            connection = await self._pool.take()
        except _NO_CONNECTION as error:
            raise DatabaseAway(f"no connection: {type(error).__name__}") from error
        age = self._plans.get(connection)
        if age is None:
            self._plans[connection] = _Age(time.monotonic() + _YOUNGEST)
        elif time.monotonic() > age.until:
            await self._plan_again(connection, age)
        return connection

    async def _plan_again(self, connection: asyncpg.Connection, age: "_Age") -> None:
        # A plan that was made for an empty table stays until there are statistics, and may read all of a
        # tenant's rows for one. Planned again, it follows the table's size.
        age.until, age.pause = time.monotonic() + age.pause, min(age.pause * 4, _OLDEST)
        try:
            await connection.execute("DISCARD PLANS")
        except BaseException as error:
            self._pool.give(connection)
            if isinstance(error, _AWAY):
                raise DatabaseAway(f"connection lost: {type(error).__name__}") from error
            raise

    def give(self, connection: asyncpg.Connection) -> None:
        """Give a connection back; only a transaction calls this."""
        self._pool.give(connection)


_NO_CONNECTION = (
    OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)  # fmt: skip
_AWAY = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, ConnectionError)


# How old plans get, in seconds: four times as old each time.
_YOUNGEST, _OLDEST = 1.0, 600.0


@dataclass(slots=True)
class _Age:
    """Until when a connection's plans are used, and for how long the next ones are."""

    until: float
    pause: float = 4 * _YOUNGEST


class _Opened:
    """One transaction, from BEGIN to COMMIT; begin None lets each statement commit by itself."""

    __slots__ = ("_begin", "_credential", "_database", "_transaction")

    _transaction: Transaction

    def __init__(self, database: Database, begin: str | None, credential: str | None) -> None:
        self._database = database
        self._begin = begin
        self._credential = credential

    async def __aenter__(self) -> Transaction:
        connection = await self._database.take()
        self._transaction = Transaction(connection)
        # What says who asks is local to the transaction, so that a lent connection carries nothing over.
        try:
            if self._begin is not None:
                await connection.execute(self._begin)
            if self._credential is not None:
                await connection.execute(
                    "SELECT set_config('metachat.credential', $1, true)", self._credential
                )
        except BaseException as error:
            await self._failed(error)
            raise
        return self._transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        connection = self._transaction.connection
        if error is not None:
            await self._failed(error)
            return
        if self._begin is not None:
            try:
                await connection.execute("COMMIT")
            except BaseException as failure:
                await self._failed(failure)
                raise
        self._database.give(connection)
        self._transaction.committed(self._database.announcer)

    async def _failed(self, error: BaseException) -> None:
        """Undo everything and give the connection back; raises DatabaseAway where that is what happened."""
        connection = self._transaction.connection
        try:
            if self._begin is not None:
                await _undo(connection, "ROLLBACK")
        except _AWAY as lost:
            error = lost
        finally:
            self._database.give(connection)
        if isinstance(error, _AWAY):
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                # The farewell to a lost connection failed too; whoever cancelled us must still see it.
                raise asyncio.CancelledError from error
            raise DatabaseAway(f"connection lost: {type(error).__name__}") from error


def _begin_for(tenant: TenantId) -> str:
    # One round trip instead of two takes a literal; only the text of a real UUID may become one.
    if not isinstance(tenant, UUID):
        raise TypeError("a tenant is named by its UUID")
    return f"BEGIN; SET LOCAL metachat.tenant = '{tenant}'"


async def _undo(connection: asyncpg.Connection, how: str) -> None:
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
