"""The door of providers: believes only signed bytes, and acknowledges only what is stored."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from metachat.domain import channels
from metachat.domain.channels import Channel, ChannelNotFound, Provider
from metachat.domain.channels.inbox import Post
from metachat.foundation.db import Database
from metachat.foundation.errors import Kind, Refusal, problem
from metachat.foundation.ids import ChannelId
from metachat.foundation.log import current_correlation_id
from metachat.web.hooks.intake import Intake, Overloaded

AsgiScope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_LIMIT = 3 * 1024 * 1024
# All bodies that are being read or wait to be stored; beyond it, callers are asked to come again.
HELD_LIMIT = 96 * 1024 * 1024
BODY_SECONDS = 20.0

_ADDRESS = re.compile(r"/hooks/([a-z]{1,20})/([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})")
# A change of a channel's settings shows after this many seconds.
_CHANNEL_AGE = 2.0
_CHANNELS = 5_000
_STORED = b'{"stored":true}'


class BodyTooLarge(Refusal):
    """The request is larger than allowed."""

    code, kind = "too_large", Kind.TOO_LARGE


class BodyTooSlow(Refusal):
    """The request took too long to arrive."""

    code, kind = "too_slow", Kind.UNAVAILABLE


class NothingHere(Refusal):
    """There is nothing here."""

    code, kind = "not_found", Kind.NOT_FOUND


class _Gone(Exception):
    """The caller hung up before the request was complete."""


class Measures(Protocol):
    """What the door tells of itself."""

    def count_refused_hook(self, provider: str, reason: str) -> None:
        """Count a request that was turned away."""
        ...

    def count_updates(self, provider: str, kind: str, count: int) -> None:
        """Count updates that are stored."""
        ...


class Opened(Protocol):
    """What the door needs of the platform."""

    @property
    def database(self) -> Database:
        """The database of this process."""
        ...

    @property
    def encryption_key(self) -> bytes:
        """The key that channels' secrets are sealed with."""
        ...

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Who delivers, by the kind of channel."""
        ...


def door(platform: Opened, measures: Measures) -> "HookDoor":
    """Open the providers' door on a platform."""
    return HookDoor(platform, Intake(platform.database), measures)


class HookDoor:
    """The ASGI application behind /hooks."""

    def __init__(
        self, platform: Opened, intake: Intake, measures: Measures, held_limit: int = HELD_LIMIT
    ) -> None:
        self._platform = platform
        self._intake = intake
        self._measures = measures
        self._held_limit = held_limit
        self._held = 0
        self._channels: dict[ChannelId, tuple[float, Channel | None]] = {}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        address = _ADDRESS.fullmatch(scope["path"])
        kind = address.group(1) if address else ""
        provider = self._platform.providers.get(kind)
        try:
            if address is None or provider is None:
                kind = "unknown"
                raise NothingHere
            scope["path_template"] = f"/hooks/{kind}/{{channel}}"
            channel = await self._channel(kind, ChannelId(UUID(address.group(2))))
            if scope["method"] == "GET":
                await _send(send, 200, self._greet(scope, provider, channel), b"text/plain; charset=utf-8")
            elif scope["method"] == "POST":
                await self._take(scope, receive, provider, channel)
                await _send(send, 200, _STORED, b"application/json")
            else:
                raise NothingHere
        except Refusal as refusal:
            self._measures.count_refused_hook(kind, refusal.code)
            await _refuse(send, refusal, scope["path"])
        except _Gone:
            return

    def _greet(self, scope: AsgiScope, provider: Provider, channel: Channel) -> bytes:
        query = scope.get("query_string", b"")[:4_000].decode("latin-1")
        answer = provider.challenge(dict(parse_qsl(query)), channel, self._platform.encryption_key)
        return answer.encode("utf-8", "replace")

    async def _take(self, scope: AsgiScope, receive: Receive, provider: Provider, channel: Channel) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        size = self._reserve(headers)
        try:
            body = await _read(receive)
            provider.verify(headers, body, channel, self._platform.encryption_key)
            updates = provider.split(body, channel)
            await self._intake.store(
                Post(channel.kind, channel.id, channel.tenant_id, updates, current_correlation_id())
            )
        finally:
            self._held -= size
        for kind, count in Counter(update.kind for update in updates).items():
            self._measures.count_updates(channel.kind, kind, count)

    def _reserve(self, headers: Mapping[str, str]) -> int:
        # A body of unknown length may grow to the limit.
        declared = headers.get("content-length", str(BODY_LIMIT))
        size = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 12 else -1
        if not 0 <= size <= BODY_LIMIT:
            raise BodyTooLarge(limit=BODY_LIMIT)
        if self._held + size > self._held_limit:
            raise Overloaded(retry_after=2)
        self._held += size
        return size

    async def _channel(self, kind: str, id: ChannelId) -> Channel:
        now = time.monotonic()
        known = self._channels.get(id)
        if known is None or known[0] < now:
            if len(self._channels) >= _CHANNELS:
                self._channels.clear()
            try:
                known = (now + _CHANNEL_AGE, await channels.reveal(self._platform.database, id))
            except ChannelNotFound:
                known = (now + _CHANNEL_AGE, None)
            self._channels[id] = known
        if known[1] is None or known[1].kind != kind:
            raise ChannelNotFound
        return known[1]


async def _read(receive: Receive) -> bytes:
    body: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                part = message.get("body", b"")
                size += len(part)
                if size > BODY_LIMIT:
                    raise BodyTooLarge(limit=BODY_LIMIT)
                body.append(part)
                if not message.get("more_body"):
                    return b"".join(body)
    except TimeoutError as error:
        raise BodyTooSlow(retry_after=1) from error


async def _refuse(send: Send, refusal: Refusal, path: str) -> None:
    document = problem(refusal, path)
    extra: list[tuple[bytes, bytes]] = []
    if document["status"] == 503:
        extra.append((b"retry-after", str(refusal.facts.get("retry_after", 5)).encode()))
    if document["status"] == 413:
        extra.append((b"connection", b"close"))
    body = msgspec.json.encode(document, enc_hook=str)
    await _send(send, document["status"], body, b"application/problem+json", extra)


async def _send(
    send: Send, status: int, body: bytes, media_type: bytes, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        *(extra or ()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
