"""An answer's body within its limits, and the names of what can go wrong on the way."""

import asyncio
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import contextmanager

import httpcore2
import httpx2
from typing_extensions import override

from metachat.foundation.addresses import Unreachable

# Bytes that one step of decompression may give, so that a bomb is noticed before it unfolds.
STEP = 64 * 1024


# What the network does is at once our refusal and an error that clients of others' making know how to retry.
class NoConnection(Unreachable, httpx2.ConnectError):
    """The address does not accept connections just now."""

    def __init__(self, detail: str) -> None:
        """Say why."""
        super().__init__(detail, permanent=False)


class Broken(Unreachable, httpx2.ReadError):
    """The connection to the address broke off."""

    def __init__(self, detail: str) -> None:
        """Say how."""
        super().__init__(detail, permanent=False)


class Late(Unreachable, httpx2.ReadTimeout):
    """The address did not answer in time."""

    def __init__(self) -> None:
        """Nothing more is known."""
        super().__init__("It did not answer in time.", permanent=False)


class BoundedStream(httpx2.AsyncByteStream):
    """The body of an answer, decompressed step by step, until its size or time is used up."""

    def __init__(self, response: httpcore2.Response, encoding: str, deadline: float, limit: int) -> None:
        """Keep what is needed to read on; the deadline is in the loop's time."""
        self._response = response
        self._deadline = deadline
        self._limit = limit
        self._size = 0
        self._parts = _decoded(self._received(), encoding)

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read on, part by part; a second reader goes on where the first one stopped."""
        async for part in self._parts:
            self._size += len(part)
            if self._size > self._limit:
                raise Unreachable(f"Its answer is longer than {self._limit:,} bytes.", permanent=True)
            yield part

    async def _received(self) -> AsyncIterator[bytes]:
        parts = self._response.aiter_stream()
        while True:
            with failures_named():
                async with asyncio.timeout_at(self._deadline):
                    part = await anext(parts, None)
            if part is None:
                return
            yield part

    @override
    async def aclose(self) -> None:
        """Give the connection back."""
        await self._parts.aclose()
        with failures_named():
            await self._response.aclose()


async def _decoded(parts: AsyncIterator[bytes], encoding: str) -> AsyncGenerator[bytes]:
    if encoding == "identity":
        async for part in parts:
            yield part
        return
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise Unreachable(f"It answers in an encoding that was not asked for: {encoding}.", permanent=True)
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
    async for part in parts:
        rest = part
        while rest:
            try:
                yield unpack.decompress(rest, STEP)
            except zlib.error as error:
                raise Broken("Its answer is not validly compressed.") from error
            rest = unpack.unconsumed_tail
            if unpack.eof and unpack.unused_data:
                rest, unpack = unpack.unused_data, zlib.decompressobj(zlib.MAX_WBITS | 32)


@contextmanager
def failures_named() -> Generator[None]:
    """Turn what goes wrong on the network into `Unreachable`."""
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException) as error:
        raise Late from error
    except httpcore2.ConnectError as error:
        raise NoConnection(f"No secure connection: {error}") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise Broken("The connection broke off.") from error
