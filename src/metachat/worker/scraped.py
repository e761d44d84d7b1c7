"""The worker's `/metrics`: a door on loopback for one kind of request, without a framework."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from metachat.foundation.log import log

_PATIENCE_SECONDS = 5.0
_LONGEST_REQUEST = 8192
_AT_ONCE = 8


@contextlib.asynccontextmanager
async def scraped(port: int, text: Callable[[], Awaitable[bytes]]) -> AsyncIterator[None]:
    """Answer whoever scrapes for as long as this is open; port 0 opens no door.

    A port that is taken costs the measurements, never the work.
    """
    if not port:
        yield
        return
    door = _Door(text)
    try:
        server = await asyncio.start_server(door.answer, "127.0.0.1", port, limit=_LONGEST_REQUEST)
    except OSError as error:
        log.error("metrics cannot be shown", port=port, reason=str(error.strerror))
        yield
        return
    try:
        yield
    finally:
        server.close()


class _Door:
    def __init__(self, text: Callable[[], Awaitable[bytes]]) -> None:
        self._text = text
        self._inside = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        self._inside += 1
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                asked = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(asked))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asks wrongly, or slowly, gets no answer
        finally:
            self._inside -= 1
            writer.close()

    async def _answer(self, asked: bytes) -> bytes:
        if self._inside > _AT_ONCE:
            return _response("503 Service Unavailable", b"")
        if asked.split(b" ", 2)[:2] != [b"GET", b"/metrics"]:
            return _response("404 Not Found", b"")
        return _response("200 OK", await self._text())


def _response(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
