"""Realtime: news that may get lost, sent to whoever listens in any process; the database remembers.

An event is a small JSON object under a topic ("wake", "conversation:<uuid>", "tenant:<uuid>"). Events of
one announcer arrive in order; any may be lost or doubled. Who may have missed some receives LOST and
reads the database again. Postgres carries them (LISTEN/NOTIFY); what else does so keeps the two
protocols below: `announcing` and the listener here.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import asyncpg
import msgspec

from metachat.foundation.log import log

LOST: dict[str, Any] = {"lost": True}

# In place of what a topic names: every topic of its channel.
ALL = "*"
# What a connection that is lost raises.
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_TOPIC = re.compile(r"^([a-z]{1,20})(:.+)?$")


class Announces(Protocol):
    """The sending end."""

    def announce(self, topic: str, data: Mapping[str, Any], patience: float = 0) -> None:
        """Send an event soon, without waiting; `data` must be JSON and belongs to the announcer now.

        patience is how many seconds it may wait for others to travel with; their order stays.
        """

    def offer(self, topic: str, take: Callable[[Mapping[str, Any]], bool] | None) -> None:
        """Show a topic's events to somebody in this process first; what they take goes no further."""

    def letter(self, topic: str, data: Mapping[str, Any]) -> tuple[str, str] | None:
        """Give the channel and payload of a NOTIFY that a transaction may send itself instead of announcing.

        Only one that does not wait for the disk. None where it must be announced.
        """


class Listens(Protocol):
    """The receiving end, one a process."""

    def subscribe(self, topic: str) -> "AbstractAsyncContextManager[Subscription]":
        """Receive what is announced under a topic from now on."""


class Subscription:
    """The events of one topic for one reader; one that lags behind gets LOST instead of what it missed."""

    __slots__ = ("_events", "_limit", "_waiter", "topic")

    def __init__(self, topic: str, limit: int) -> None:
        self.topic = topic
        self._limit = limit
        self._events: list[Mapping[str, Any]] = []  # a deque or Queue costs 0.7-3 KB while empty
        self._waiter: asyncio.Future[bool] | None = None

    async def next(self, within: float | None = None) -> Mapping[str, Any] | None:
        """Wait for the next event; None when none comes within so many seconds."""
        if not self._events:
            loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            timer = None if within is None else loop.call_later(within, _settle, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        return self._events.pop(0) if self._events else None

    def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        return self

    async def __anext__(self) -> Mapping[str, Any]:
        while True:
            event = await self.next()
            if event is not None:
                return event

    def push(self, event: Mapping[str, Any]) -> None:
        """Hand an event over; only the listener calls this."""
        if len(self._events) >= self._limit or event is LOST:
            self._events.clear()
            event = LOST
        self._events.append(event)
        if self._waiter is not None:
            _settle(self._waiter)


class Listener:
    """One LISTEN connection of this process, and the local readers of each topic."""

    def __init__(self, dsn: str, *, backlog: int = 500) -> None:
        self._dsn = dsn
        self._backlog = backlog
        self._readers: dict[str, list[Subscription]] = {}
        self._connection: asyncpg.Connection | None = None
        self._channels: set[str] = set()
        self._listening = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.reconnects = 0

    def start(self) -> None:
        """Begin receiving; call it inside the running event loop."""
        self._task = asyncio.create_task(self._run(), name="listener")

    async def close(self) -> None:
        """Disconnect; readers receive nothing more."""
        if self._task is not None:
            self._closing = True
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def connected(self) -> bool:
        """Tell whether events arrive at the moment."""
        return self._connection is not None and not self._connection.is_closed()

    @asynccontextmanager
    async def subscribe(self, topic: str) -> AsyncIterator[Subscription]:
        """Receive what is announced under a topic from now on.

        Read the database after entering, not before. Without a connection it returns at once as well:
        the reader gets LOST when the connection stands.
        """
        reader = Subscription(topic, self._backlog)
        self._readers.setdefault(topic, []).append(reader)
        try:
            await self._listen(channel_of(topic))
            yield reader
        finally:
            self._leave(reader)

    def _leave(self, reader: Subscription) -> None:
        readers = self._readers[reader.topic]
        readers.remove(reader)
        if not readers:
            del self._readers[reader.topic]

    async def _listen(self, channel: str) -> None:
        if channel in self._channels:
            return
        async with self._listening:
            connection = self._connection
            if channel in self._channels or connection is None:
                return
            try:
                await connection.add_listener(f"metachat_{channel}", self._receive)
            except AWAY:
                connection.terminate()  # the loop connects again and tells everyone
                return
            if connection is self._connection:
                self._channels.add(channel)

    async def _run(self) -> None:
        pause = 0.05
        while not self._closing:
            try:
                connection = await asyncpg.connect(
                    self._dsn, timeout=5, command_timeout=10,
                    server_settings={"application_name": "metachat listener"},
                )  # fmt: skip
                pause = 0.05
                await self._hold(connection)
            except AWAY as error:
                log.warning("listener disconnected", error=type(error).__name__)
            self.reconnects += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)

    async def _hold(self, connection: asyncpg.Connection) -> None:
        gone = asyncio.Event()

        def note_end(_: object) -> None:
            gone.set()

        connection.add_termination_listener(note_end)
        try:
            self._connection = connection
            for channel in sorted({channel_of(topic) for topic in self._readers}):
                await self._listen(channel)
            self._tell_all(None)
            while not connection.is_closed():
                try:
                    async with asyncio.timeout(15):
                        await gone.wait()
                except TimeoutError:
                    await connection.execute("SELECT 1")  # finds a connection that is only half there
        finally:
            self._connection = None
            self._channels.clear()
            connection.terminate()

    def _receive(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        for topic, event in msgspec.json.decode(str(payload)):
            if topic.endswith(ALL):
                self._tell_all(channel_of(topic))
                continue
            news = LOST if event == LOST else event
            for reader in self._readers.get(topic, ()):
                reader.push(news)

    def _tell_all(self, channel: str | None) -> None:
        for topic, readers in self._readers.items():
            if channel is None or channel_of(topic) == channel:
                for reader in readers:
                    reader.push(LOST)


def channel_of(topic: str) -> str:
    """Name the channel that carries a topic: its part before the colon; raises ValueError."""
    match = _TOPIC.match(topic)
    if match is None:
        raise ValueError(f"not a topic: {topic!r}")
    return match.group(1)


def _settle(waiter: "asyncio.Future[bool]") -> None:
    if not waiter.done():
        waiter.set_result(True)
