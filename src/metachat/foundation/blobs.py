"""Bytes stored by their content: the same file twice is one file, and a name is its proof."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import TenantId


class TooLarge(Refusal):
    """The file is larger than allowed."""

    code = "too_large"
    kind = Kind.TOO_LARGE


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: its SHA-256 in hex, and its size in bytes."""

    sha256: str
    size: int


class Blobs(Protocol):
    """Stores bytes of one tenant by content."""

    async def put(self, chunks: AsyncIterable[bytes], *, limit: int) -> Stored:
        """Store a stream of at most `limit` bytes; raises TooLarge and keeps nothing."""
        ...

    def path(self, sha256: str) -> Path:
        """Where the bytes lie, for a child process that reads them."""
        ...

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; absent ones are no error."""
        ...


class DiskBlobs:
    """Blobs on this machine's disk, a folder per tenant."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def for_tenant(self, tenant: TenantId) -> "DiskBlobs":
        """The store of one tenant: equal bytes of two tenants are two files, so deletion stays simple."""
        return DiskBlobs(self._root / str(tenant))

    async def put(self, chunks: AsyncIterable[bytes], *, limit: int) -> Stored:
        """Store a stream of at most `limit` bytes, on disk before the call returns; raises TooLarge."""
        partial = self._root / f".partial-{uuid4().hex}"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise TooLarge(f"more than {limit:,} bytes", limit=limit)
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_flush, file)
            target = self.path(digest.hexdigest())
            target.parent.mkdir(exist_ok=True, mode=0o700)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return Stored(digest.hexdigest(), size)

    def path(self, sha256: str) -> Path:
        """Where the bytes lie."""
        return self._root / sha256[:2] / sha256

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; absent ones are no error."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
