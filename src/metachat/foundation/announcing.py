"""Sends realtime events through Postgres (NOTIFY), in batches, after the commits of their causes."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import asyncpg
import msgspec

from metachat.foundation.log import log
from metachat.foundation.realtime import ALL, AWAY, LOST, channel_of

# NOTIFY refuses payloads of 8,000 bytes and more.
PAYLOAD_LIMIT = 7900

_SEND = "SELECT pg_notify(n.channel, n.payload) FROM unnest($1::text[], $2::text[]) AS n(channel, payload)"


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
        (channel,), (payload,) = pack([(topic, data)])
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
            except AWAY as error:
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
                channels, payloads = pack([*batch, *((f"{gap}:{ALL}", LOST) for gap in gaps)])
                await connection.execute(_SEND, channels, payloads)
                # Only now: a batch that failed goes out again, and twice is as good as once.
                for _ in batch:
                    self._waiting.popleft()
                self._gaps.difference_update(gaps)
                self.sent += len(batch)
            self._idle.set()
            await self._news.wait()


def pack(events: list[tuple[str, Mapping[str, Any]]]) -> tuple[list[str], list[str]]:
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
