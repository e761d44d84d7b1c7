"""The little HTTP that the chat's door needs: a stream on raw ASGI is cheaper than on a framework."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from metachat.foundation.errors import Kind, Refusal, problem
from metachat.foundation.rates import Standing
from metachat.web import problems
from metachat.web.limited import standings_of

AsgiScope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_LIMIT = 64 * 1024
_BEARER = re.compile(r"Bearer ([\w.-]{20,2000})", re.IGNORECASE)


class BodyTooLarge(Refusal):
    """The request is larger than allowed."""

    code, kind = "too_large", Kind.TOO_LARGE


class NotFound(Refusal):
    """There is nothing here."""

    code, kind = "not_found", Kind.NOT_FOUND


class ClientGone(Exception):
    """The caller hung up before the request was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request whose body is not read yet."""

    method: str
    argument: str | None
    headers: Mapping[bytes, bytes]
    query: bytes
    scheme: str
    address: str
    receive: Receive
    standings: list[Standing] = field(default_factory=list)

    def header(self, name: bytes) -> str | None:
        """Gives a header by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def token(self) -> str | None:
        """The bearer token; None when there is none that could be one."""
        match = _BEARER.fullmatch(self.header(b"authorization") or "")
        return match.group(1) if match else None

    @property
    def own_origin(self) -> str:
        """The origin under which the caller reached us."""
        return f"{self.scheme}://{self.header(b'host') or ''}"

    def number(self, name: str, default: int, limit: int = 2**62) -> int:
        """Gives a query parameter that is a whole number from 0; the default for anything else."""
        values = parse_qs(self.query.decode("latin-1")).get(name)
        text = values[0] if values else ""
        return min(int(text), limit) if text.isascii() and text.isdigit() and len(text) < 20 else default

    async def body(self) -> bytes:
        """Read the body; raises BodyTooLarge before it is in memory, ClientGone."""
        declared = self.header(b"content-length") or "0"
        if not declared.isdigit() or int(declared) > BODY_LIMIT:
            raise BodyTooLarge(limit=BODY_LIMIT)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > BODY_LIMIT:
                raise BodyTooLarge(limit=BODY_LIMIT)
            if not message.get("more_body"):
                return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: int
    body: bytes = b""
    media_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


def request_of(scope: AsgiScope, receive: Receive, argument: str | None) -> Request:
    """Read what ASGI hands over; of a repeated header the last one counts."""
    client = scope.get("client")
    return Request(
        method=scope["method"],
        argument=argument,
        headers=dict(scope["headers"]),
        query=scope.get("query_string", b""),
        scheme=scope.get("scheme", "http"),
        address=client[0] if client else "",
        receive=receive,
        standings=standings_of(scope),
    )


def refused(refusal: Refusal, path: str) -> Response:
    """Describe a refusal as a problem document."""
    document = problem(refusal, path)
    headers: tuple[tuple[bytes, bytes], ...] = ()
    if refusal.facts.get("retry_after") is not None:
        headers = ((b"retry-after", problems.wait_of(refusal).encode()),)
    if refusal.kind is Kind.UNAUTHENTICATED:
        headers = (*headers, (b"www-authenticate", b'Bearer realm="metachat"'))
    body = msgspec.json.encode(document, enc_hook=str)
    return Response(document["status"], body, b"application/problem+json", headers)


async def send_response(send: Send, response: Response, cors: tuple[tuple[bytes, bytes], ...]) -> None:
    """Send a whole answer."""
    headers = [
        (b"content-type", response.media_type),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *response.headers,
        *cors,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
