"""Connections that are lent one at a time. asyncpg's own pool costs as much as the statements themselves."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import asyncpg

Connect = Callable[[], Awaitable[asyncpg.Connection]]


class Pool:
    """Up to `size` connections, made when they are wanted and closed when nobody wanted them for a while.

    Borrowers carry nothing over: they use transaction-local settings and locks only. patience and idle are
    seconds.
    """

    def __init__(self, connect: Connect, size: int, *, patience: float = 10, idle: float = 60) -> None:
        self._connect = connect
        self._size = size
        self._patience = patience
        self._idle_seconds = idle
        self._idle: deque[tuple[float, asyncpg.Connection]] = deque()  # the last one given back is lent first
        self._lent: set[asyncpg.Connection] = set()
        self._places = 0  # connections that exist or are being made
        # None is a free place: whoever gets it connects.
        self._waiting: deque[asyncio.Future[asyncpg.Connection | None]] = deque()
        self._tidying: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._returned = asyncio.Event()
        self._closing = False

    @property
    def use(self) -> dict[str, int]:
        """How many connections are lent, idle, and waited for, and the most there can be."""
        waiting = sum(not waiter.done() for waiter in self._waiting)
        return {"lent": len(self._lent), "idle": len(self._idle), "waiting": waiting, "most": self._size}

    async def take(self) -> asyncpg.Connection:
        """Borrow a connection; raises TimeoutError, and what connecting raises."""
        while self._idle:
            _, connection = self._idle.pop()
            if not connection.is_closed():
                self._lent.add(connection)
                return connection
            self._places -= 1
        if self._places < self._size:
            self._places += 1
            return await self._new()
        return await self._next() or await self._new()

    def give(self, connection: asyncpg.Connection) -> None:
        """Give a connection back; one that is broken, or still within a transaction, is not lent again."""
        self._lent.discard(connection)
        self._returned.set()
        if not connection.is_closed() and (self._closing or connection.is_in_transaction()):
            connection.terminate()
        if connection.is_closed():
            self._vacate()
        elif not self._hand_over(connection):
            self._idle.append((asyncio.get_running_loop().time(), connection))
            if self._tidying is None:
                self._tidying = asyncio.get_running_loop().call_later(self._idle_seconds, self._tidy)

    async def close(self) -> None:
        """Close what is idle, wait for what is lent, at most five seconds, and then no longer."""
        self._closing = True
        if self._tidying is not None:
            self._tidying.cancel()
        for _, connection in self._idle:
            self._part_with(connection)
        self._idle.clear()
        try:
            async with asyncio.timeout(5):
                while self._lent:
                    self._returned.clear()
                    await self._returned.wait()
        except TimeoutError:
            for connection in list(self._lent):
                connection.terminate()
        await asyncio.gather(*self._farewells, return_exceptions=True)

    async def _new(self) -> asyncpg.Connection:
        try:
            connection = await self._connect()
        except BaseException:
            self._vacate()
            raise
        self._lent.add(connection)
        return connection

    async def _next(self) -> asyncpg.Connection | None:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[asyncpg.Connection | None] = loop.create_future()
        self._waiting.append(waiter)
        timer = loop.call_later(self._patience, _give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                # It came in the same moment: somebody else's turn.
                connection = waiter.result()
                if connection is None:
                    self._vacate()
                else:
                    self.give(connection)
            raise
        finally:
            timer.cancel()

    def _hand_over(self, connection: asyncpg.Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                if connection is not None:
                    self._lent.add(connection)
                waiter.set_result(connection)
                return True
        return False

    def _vacate(self) -> None:
        if not self._hand_over(None):
            self._places -= 1

    def _tidy(self) -> None:
        self._tidying = None
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0][0] + self._idle_seconds <= loop.time():
            _, connection = self._idle.popleft()
            self._places -= 1
            self._part_with(connection)
        if self._idle:
            self._tidying = loop.call_at(self._idle[0][0] + self._idle_seconds, self._tidy)

    def _part_with(self, connection: asyncpg.Connection) -> None:
        farewell = asyncio.create_task(_farewell(connection))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)


async def _farewell(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=5)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _give_up(waiter: "asyncio.Future[asyncpg.Connection | None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError("every connection is in use"))
