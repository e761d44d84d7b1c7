"""One file out of a multipart request, handed on while it arrives: it is never held in memory."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from metachat.domain import knowledge
from metachat.domain.knowledge import Received
from metachat.foundation.blobs import TooLarge
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import TenantId
from metachat.web import access
from metachat.web.access import AnyRequest

T = TypeVar("T")

FIELD = "file"

# What is read and thrown away after a refusal, so that the client reads the answer instead of a broken
# connection: most begin to listen only when they have sent everything.
_DRAINED = 1024 * 1024 * 1024


class NotMultipart(Refusal):
    """Send the file as multipart/form-data, in a part named "file"."""

    code, kind = "not_multipart", Kind.UNSUPPORTED


class UploadIncomplete(Refusal):
    """The upload ended before the file did, or holds none; send it again."""

    code, kind = "upload_incomplete", Kind.INVALID


async def receive_file(request: AnyRequest, tenant: TenantId) -> Received:
    """Store the file of a request in its tenant's store; outside of any transaction.

    Raises what knowledge.receive raises, NotMultipart and UploadIncomplete, and then keeps nothing.
    """
    platform = access.platform_of(request)
    limit = platform.settings.upload_limit * 1024 * 1024
    blobs = platform.blobs.for_tenant(tenant)
    return await receive_with(
        request, limit, lambda name, content: knowledge.receive(blobs, name, content, limit=limit)
    )


async def receive_with(
    request: AnyRequest, limit: int, keep: Callable[[str, AsyncIterator[bytes]], Awaitable[T]]
) -> T:
    """Hand the file of a request, its name and its bytes as they come, to whoever keeps it.

    Raises what that raises, NotMultipart, UploadIncomplete and TooLarge.
    """
    incoming = request.stream()
    try:
        _check_length(request, limit)
        file = await _open(request, incoming)
        return await keep(file.name, file.content())
    except Refusal:
        await _drain(incoming)
        raise


def _check_length(request: AnyRequest, limit: int) -> None:
    # The rest of the form is small: a body this long cannot hold an allowed file.
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit + 1024 * 1024:
        raise TooLarge(f"more than {limit:,} bytes", limit=limit)


async def _open(request: AnyRequest, incoming: AsyncIterator[bytes]) -> "_File":
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise NotMultipart()
    file = _File(boundary, incoming)
    await file.begin()
    return file


async def _drain(incoming: AsyncIterator[bytes]) -> None:
    left = _DRAINED
    with contextlib.suppress(Exception):  # whatever ends the stream, the refusal is what counts
        async for chunk in incoming:
            left -= len(chunk)
            if left < 0:
                return


class _Part:
    """The headers of the part at hand."""

    def __init__(self) -> None:
        self.field = bytearray()
        self.value = bytearray()
        self.headers: dict[bytes, bytes] = {}


class _File:
    """Feeds a parser from the network; `name` is known after `begin`."""

    def __init__(self, boundary: bytes, incoming: AsyncIterator[bytes]) -> None:
        self.name = ""
        self._incoming = incoming
        self._part = _Part()
        self._inside = self._ended = False
        self._ready: list[bytes] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                },
            )
        except FormParserError as error:
            raise NotMultipart() from error

    async def begin(self) -> None:
        """Read up to the file's first bytes."""
        while not self.name and await self._read():
            pass
        if not self.name:
            raise UploadIncomplete()

    async def content(self) -> AsyncIterator[bytes]:
        """The file's bytes."""
        more = True
        while more or self._ready:
            while self._ready:
                yield self._ready.pop(0)
            more = not self._ended and await self._read()
        if not self._ended:
            raise UploadIncomplete()

    async def _read(self) -> bool:
        async for chunk in self._incoming:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise UploadIncomplete() from error
            return True
        return False

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.value += data[start:end]

    def _on_header_end(self) -> None:
        self._part.headers[bytes(self._part.field).lower()] = bytes(self._part.value)
        self._part.field.clear()
        self._part.value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.headers.get(b"content-disposition", b""))
        is_file = options.get(b"name") == FIELD.encode() and b"filename" in options
        if is_file and not self._ended:  # one file a request: further ones are not read
            self._inside = True
            self.name = options[b"filename"].decode("utf-8", "replace") or "unnamed"

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._ready.append(bytes(data[start:end]))

    def _on_part_end(self) -> None:
        self._ended = self._ended or self._inside
        self._inside = False
