"""What every exchange gets, whoever answers it: ids, security headers, a measurement, a calm last resort."""

import re
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from metachat.foundation import redaction
from metachat.foundation.ids import uuid7_hex
from metachat.foundation.log import bound, log
from metachat.web import problems
from metachat.web.drain import Drain, is_stream
from metachat.web.metrics import Metrics

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")

# Nothing inline, nothing from elsewhere, no frame around us: a stored script finds no way to run.
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# An answer that brings one of these itself keeps its own.
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)
_RESOURCE = b"cross-origin-resource-policy"
# The widget lives on the shops' own sites; everything else is for our pages only.
_FOR_OTHER_SITES = ("/widget", "/chat/")
_HTTPS = (b"strict-transport-security", b"max-age=31536000")


class Envelope:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, drain: Drain, metrics: Metrics) -> None:
        self._app = app
        self._drain = drain
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # Whoever answers GET answers HEAD; the server leaves the body out.
            scope = cast(HTTPScope, {**scope, "method": "GET"})
        given = dict(scope["headers"])
        request_id, correlation_id = names_of(given)
        redaction.carry(scope["headers"], scope.get("query_string", b""))
        exchange = _Exchange(scope, receive, send, self._drain, request_id)
        with bound(request_id=request_id, correlation_id=correlation_id):
            await self._serve(exchange)

    async def _serve(self, exchange: "_Exchange") -> None:
        began = time.perf_counter()
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception as error:  # the top of the loop: whatever it is, the client gets an answer
            log.error("request failed", path=exchange.scope["path"], exc_info=error)
            if exchange.status:
                raise
            await exchange.apologise()
        finally:
            if exchange.ended_by_drain:
                await exchange.finish()
            self._metrics.count(exchange.scope, exchange.status, time.perf_counter() - began)


class _Exchange:
    """One request and its answer; ASGI's receive and send as the application sees them."""

    __slots__ = ("_drain", "_receive", "_send", "_stream", "ended_by_drain", "request_id", "scope", "status")

    def __init__(self, scope: HTTPScope, receive: Receive, send: Send, drain: Drain, request_id: str) -> None:
        self.scope, self._receive, self._send, self._drain = scope, receive, send, drain
        self.request_id = request_id
        self.status = 0
        self.ended_by_drain = False
        self._stream = False

    async def receive(self) -> Any:
        """Hear from the client."""
        if not self._stream:
            return await self._receive()
        message = await self._drain.receive(self._receive)
        self.ended_by_drain = self._drain.begun and self._stream
        return message

    async def send(self, message: Message) -> None:
        """Answer the client, with the headers that no answer goes without."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._stream = is_stream(message)
            message["headers"] = [
                *message["headers"],
                *self._missing({name.lower() for name, _ in message["headers"]}),
            ]
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self._stream = False
            self.ended_by_drain = False
        await self._send(message)

    async def apologise(self) -> None:
        """Answer for a bug outside the framework's reach."""
        body = msgspec.json.encode(problems.describe(500, self.scope["path"]))
        headers = [
            (b"content-type", problems.MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def finish(self) -> None:
        """End a stream in order, so that its client connects again elsewhere at once."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _missing(self, present: set[bytes]) -> list[tuple[bytes, bytes]]:
        added = [pair for pair in _HEADERS if pair[0] not in present]
        added.append((b"x-request-id", self.request_id.encode()))
        if _RESOURCE not in present:
            foreign = self.scope["path"].startswith(_FOR_OTHER_SITES)
            added.append((_RESOURCE, b"cross-origin" if foreign else b"same-origin"))
        if self.scope["scheme"] == "https":
            added.append(_HTTPS)
        return added


def names_of(headers: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Name an exchange, and what it belongs to: as its caller does, or anew."""
    request_id = _id(headers.get(b"x-request-id")) or uuid7_hex()
    return request_id, _id(headers.get(b"x-correlation-id")) or request_id


def _id(given: bytes | None) -> str | None:
    return given.decode("ascii") if given is not None and _ID.fullmatch(given) else None
