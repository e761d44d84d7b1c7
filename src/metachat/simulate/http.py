"""Requests and answers of the raw ASGI application."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

AsgiScope = dict[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

BODY_LIMIT = 101 * 1024 * 1024
_BODY_SECONDS = 60.0
JSON = b"application/json; charset=UTF-8"


class Cut(Exception):
    """The connection is to break, without an answer."""


class TooLarge(Exception):
    """More bytes than anybody may send."""


@dataclass(slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    media_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Request:
    """What came in."""

    method: str
    path: str
    scope: AsgiScope
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """The value of a header, "" without it; name is in small letters."""
        for known, value in self.scope["headers"]:
            if known == name:
                return str(value.decode("latin-1"))
        return ""

    @property
    def query(self) -> dict[str, str]:
        """What stands behind the question mark."""
        return dict(parse_qsl(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))

    def json(self) -> dict[str, Any]:
        """The body as an object, empty for no body; raises msgspec.DecodeError."""
        found = msgspec.json.decode(self.body) if self.body else {}
        if not isinstance(found, dict):
            raise msgspec.DecodeError("the body is no JSON object")
        return found


def answer(document: Any, status: int = 200) -> Answer:
    """A document as JSON."""
    return Answer(status, msgspec.json.encode(document))


async def read(receive: Receive) -> bytes:
    """Read a whole body; raises TooLarge, Cut."""
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts, size = [message["body"]], len(message["body"])
    async with asyncio.timeout(_BODY_SECONDS):
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Cut
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > BODY_LIMIT:
                raise TooLarge
    return b"".join(parts)


async def respond(send: Send, given: Answer) -> None:
    """Send an answer."""
    headers = [
        (b"content-type", given.media_type), (b"content-length", str(len(given.body)).encode()),
        *given.headers,
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": given.status, "headers": headers})
    await send({"type": "http.response.body", "body": given.body})
