"""The door of providers: believes only signed bytes, and acknowledges only what is stored."""

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec
from litestar.types import HTTPScope

from metachat.domain import channels
from metachat.domain.channels import Channel, ChannelNotFound, Provider
from metachat.domain.channels.inbox import Post
from metachat.foundation.db import Database
from metachat.foundation.errors import Kind, Refusal, problem
from metachat.foundation.ids import ChannelId
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log
from metachat.web import problems
from metachat.web.envelope import names_of
from metachat.web.hooks.intake import Intake, Overloaded
from metachat.web.hooks.patience import Patience

AsgiScope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_LIMIT = 3 * 1024 * 1024
# All bodies that are being read or wait to be stored; beyond it, callers are asked to come again.
HELD_LIMIT = 96 * 1024 * 1024
BODY_SECONDS = 20.0

_ADDRESS = re.compile(r"/hooks/([a-z]{1,20})/([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})")
# A change of a channel's settings shows after this many seconds.
_CHANNEL_AGE = 2.0
_GATES = 5_000
_BODY_LIMIT = str(BODY_LIMIT).encode()


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

    def count(self, scope: HTTPScope, status: int, seconds: float) -> None:
        """Count an exchange."""
        ...


class Opened(Protocol):
    """What the door needs of the platform."""

    @property
    def database(self) -> Database:
        """The database of this process."""
        ...

    @property
    def encryption_key(self) -> Keyring:
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
        self._patience = Patience(BODY_SECONDS)
        self._held = 0
        self._gates: dict[str, _Gate] = {}

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one exchange, from its first byte to its measurement."""
        began = time.perf_counter()
        headers = dict(scope["headers"])
        names = names_of(headers)
        status = 0
        try:
            status = await self._serve(scope, headers, names, receive, send)
        except _Gone:
            return
        except Exception as error:  # the top of the loop: whatever it is, the provider gets an answer
            log.error(
                "request failed", path=scope["path"], exc_info=error,
                request_id=names[0], correlation_id=names[1],
            )  # fmt: skip
            status = 500
            await _answer(send, 500, problems.describe(500, scope["path"]), names[0])
        finally:
            self._measures.count(scope, status, time.perf_counter() - began)

    async def _serve(
        self,
        scope: AsgiScope,
        headers: Mapping[bytes, bytes],
        names: tuple[str, str],
        receive: Receive,
        send: Send,
    ) -> int:
        kind = "unknown"
        try:
            gate = self._gates.get(scope["path"])
            if gate is None or gate.until < time.monotonic():
                gate = await self._open(scope["path"])
            kind, scope["path_template"] = gate.kind, gate.template
            if gate.channel is None:
                raise ChannelNotFound
            if scope["method"] == "POST":
                await self._take(gate, gate.channel, headers, names[1], receive)
                # Without a body: each piece of an answer is a call of the system's.
                await _send(send, 200, b"", b"text/plain", names[0])
            elif scope["method"] in ("GET", "HEAD"):
                greeting = self._greet(scope, gate.provider, gate.channel)
                await _send(send, 200, greeting, b"text/plain; charset=utf-8", names[0])
            else:
                raise NothingHere
        except Refusal as refusal:
            self._measures.count_refused_hook(kind, refusal.code)
            document = problem(refusal, scope["path"])
            await _answer(send, document["status"], document, names[0], refusal.facts.get("retry_after", 5))
            return int(document["status"])
        return 200

    def _greet(self, scope: AsgiScope, provider: Provider, channel: Channel) -> bytes:
        query = scope.get("query_string", b"")[:4_000].decode("latin-1")
        answer = provider.challenge(dict(parse_qsl(query)), channel, self._platform.encryption_key)
        return answer.encode("utf-8", "replace")

    async def _take(
        self,
        gate: "_Gate",
        channel: Channel,
        headers: Mapping[bytes, bytes],
        correlation: str,
        receive: Receive,
    ) -> None:
        size = self._reserve(headers)
        try:
            body = await _read(receive, self._patience)
            gate.provider.verify(headers, body, channel, self._platform.encryption_key)
            updates = gate.provider.split(body, channel)
            await self._intake.store(Post(gate.kind, channel.id, channel.tenant_id, updates, correlation))
        finally:
            self._held -= size
        if len(updates) == 1:
            self._measures.count_updates(gate.kind, updates[0].kind, 1)
            return
        for kind, count in Counter(update.kind for update in updates).items():
            self._measures.count_updates(gate.kind, kind, count)

    def _reserve(self, headers: Mapping[bytes, bytes]) -> int:
        # A body of unknown length may grow to the limit.
        declared = headers.get(b"content-length", _BODY_LIMIT)
        size = int(declared) if declared.isdigit() and len(declared) < 12 else -1
        if not 0 <= size <= BODY_LIMIT:
            raise BodyTooLarge(limit=BODY_LIMIT)
        if self._held + size > self._held_limit:
            raise Overloaded(retry_after=2)
        self._held += size
        return size

    async def _open(self, path: str) -> "_Gate":
        address = _ADDRESS.fullmatch(path)
        provider = self._platform.providers.get(address.group(1)) if address else None
        if address is None or provider is None:
            raise NothingHere
        kind, until = address.group(1), time.monotonic() + _CHANNEL_AGE
        try:
            channel = await channels.reveal(self._platform.database, ChannelId(UUID(address.group(2))))
        except ChannelNotFound:
            channel = None
        if channel is not None and channel.kind != kind:
            channel = None
        if len(self._gates) >= _GATES:
            self._gates.clear()
        gate = self._gates[path] = _Gate(kind, f"/hooks/{kind}/{{channel}}", provider, channel, until)
        return gate


@dataclass(frozen=True, slots=True)
class _Gate:
    """Who delivers at one address, as it was known a moment ago; without a channel nobody does."""

    kind: str
    template: str
    provider: Provider
    channel: Channel | None
    until: float


async def _read(receive: Receive, patience: Patience) -> bytes:
    body: list[bytes] = []
    size = 0
    try:
        with patience.limit():
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


async def _answer(send: Send, status: int, document: dict[str, Any], request_id: str, wait: Any = 5) -> None:
    extra: list[tuple[bytes, bytes]] = []
    if status == 503:
        extra.append((b"retry-after", str(wait).encode()))
    if status == 413:
        extra.append((b"connection", b"close"))
    body = msgspec.json.encode(document, enc_hook=str)
    await _send(send, status, body, problems.MEDIA_TYPE.encode(), request_id, extra)


async def _send(
    send: Send,
    status: int,
    body: bytes,
    media_type: bytes,
    request_id: str,
    extra: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    headers = [
        (b"content-type", media_type),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
