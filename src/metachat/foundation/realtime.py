"""Realtime: news that may get lost, sent to whoever listens in any process; the database remembers.

An event is a small JSON object under a topic ("wake", "conversation:<uuid>", "tenant:<uuid>"). Events of
one announcer arrive in order; any may be lost or doubled. Who may have missed some receives LOST and
reads the database again. Postgres carries them (LISTEN/NOTIFY); what else does so keeps the two
protocols below.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import asyncpg
import msgspec

from metachat.foundation.log import log

LOST: dict[str, Any] = {"lost": True}

# NOTIFY refuses payloads of 8,000 bytes and more.
PAYLOAD_LIMIT = 7900

_ALL = "*"
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_SEND = "SELECT pg_notify(n.channel, n.payload) FROM unnest($1::text[], $2::text[]) AS n(channel, payload)"
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


class Announcer:
    """Sends events through a connection of its own: what comes while one batch is sent is the next batch."""

    def __init__(self, dsn: str, *, capacity: int = 20_000) -> None:
        self._dsn = dsn
        self._capacity = capacity
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self._gaps: set[str] = set()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._offers: dict[str, Callable[[Mapping[str, Any]], bool]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.sent = 0
        self.dropped = 0

    def start(self) -> None:
        """Begin sending; call it inside the running event loop."""
        self._task = asyncio.create_task(self._run(), name="announcer")

    async def close(self) -> None:
        """Send what waits, for at most two seconds, and disconnect."""
        if self._task is None:
            return
        if self._waiting:
            self._idle.clear()
            self._news.set()
            try:
                async with asyncio.timeout(2):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("announcements dropped at the end", count=len(self._waiting))
        self._closing = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def offer(self, topic: str, take: Callable[[Mapping[str, Any]], bool] | None) -> None:
        """Show a topic's events to somebody in this process first (None: to nobody any more)."""
        if take is None:
            self._offers.pop(topic, None)
        else:
            self._offers[topic] = take

    def letter(self, topic: str, data: Mapping[str, Any]) -> tuple[str, str] | None:
        """Give the channel and payload of one event; None where somebody in this process sees it first."""
        if topic in self._offers:
            return None
        (channel,), (payload,) = _pack([(topic, data)])
        return channel, payload

    def announce(self, topic: str, data: Mapping[str, Any], patience: float = 0) -> None:
        """Send an event soon; when the buffer is full it is dropped, and listeners are told so."""
        if (take := self._offers.get(topic)) is not None and take(data):
            return
        if len(self._waiting) >= self._capacity:
            self.dropped += 1
            self._gaps.add(channel_of(topic))
        else:
            self._waiting.append((topic, data))
        if not patience:
            self._news.set()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(patience, self._news.set)

    async def _run(self) -> None:
        pause = 0.05
        while not self._closing:
            try:
                # A NOTIFY commits; waiting for the disk would buy nothing, since nothing is stored.
                connection = await asyncpg.connect(
                    self._dsn, timeout=5, command_timeout=10,
                    server_settings={"application_name": "metachat announcer", "synchronous_commit": "off"},
                )  # fmt: skip
                pause = 0.05
                try:
                    await self._send_all(connection)
                finally:
                    connection.terminate()
            except _AWAY as error:
                log.warning("announcer disconnected", error=type(error).__name__, waiting=len(self._waiting))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5)

    async def _send_all(self, connection: asyncpg.Connection) -> None:
        while True:
            self._news.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            while self._waiting or self._gaps:
                gaps = sorted(self._gaps)
                batch = [self._waiting[i] for i in range(min(len(self._waiting), 1000))]
                channels, payloads = _pack([*batch, *((f"{gap}:{_ALL}", LOST) for gap in gaps)])
                await connection.execute(_SEND, channels, payloads)
                # Only now: a batch that failed goes out again, and twice is as good as once.
                for _ in batch:
                    self._waiting.popleft()
                self._gaps.difference_update(gaps)
                self.sent += len(batch)
            self._idle.set()
            await self._news.wait()


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
            except _AWAY:
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
            except _AWAY as error:
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
            if topic.endswith(_ALL):
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


def _pack(events: list[tuple[str, Mapping[str, Any]]]) -> tuple[list[str], list[str]]:
    """Fill payloads with as many events each as fit; returns channels and payloads, in order."""
    filling: dict[str, bytearray] = {}
    full: list[tuple[str, bytearray]] = []
    for topic, data in events:
        channel = channel_of(topic)
        for encoded in _encode(topic, data):
            payload = filling.get(channel)
            if payload is not None and len(payload) + len(encoded) + 2 > PAYLOAD_LIMIT:
                full.append((channel, payload))
                payload = None
            if payload is None:
                filling[channel] = bytearray(b"[") + encoded
            else:
                payload += b"," + encoded
    full.extend(filling.items())
    return [f"metachat_{channel}" for channel, _ in full], [(p + b"]").decode() for _, p in full]


def _encode(topic: str, data: Mapping[str, Any]) -> Iterator[bytes]:
    encoded = msgspec.json.encode((topic, data))
    if len(encoded) + 2 <= PAYLOAD_LIMIT:
        yield encoded
    elif isinstance(data.get("text"), str) and isinstance(data.get("offset"), int) and len(data["text"]) > 1:
        # A long piece of text travels as two, each with its own place.
        half = len(data["text"]) // 2
        yield from _encode(topic, {**data, "text": data["text"][:half]})
        yield from _encode(topic, {**data, "text": data["text"][half:], "offset": data["offset"] + half})
    else:
        log.warning("event too large to announce", topic=topic, bytes=len(encoded))
        yield msgspec.json.encode((topic, LOST))
