"""Bytes stored by their content: the same file twice is one file, and a name is its proof."""

import asyncio
import hashlib
import os
import re
import time
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import UUID, uuid4

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import TenantId

_PIECE = 256 * 1024
_NAME = re.compile(r"[0-9a-f]{64}")


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

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        """The bytes, piece by piece; raises FileNotFoundError."""
        with await asyncio.to_thread(self.path(sha256).open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece

    async def delete(self, sha256: str) -> None:
        """Remove the bytes; absent ones are no error."""
        await asyncio.to_thread(self.path(sha256).unlink, missing_ok=True)

    async def delete_older(self, sha256: str, age: timedelta) -> bool:
        """Remove the bytes unless they were stored, or stored again, within `age`; tells whether it did."""
        return await asyncio.to_thread(_delete_older, self.path(sha256), age)

    async def tenants(self) -> list[TenantId]:
        """Those who have a folder here."""
        return await asyncio.to_thread(_tenants, self._root)

    async def older_than(self, age: timedelta) -> AsyncIterator[list[str]]:
        """Name what was stored before `age` ago, folder by folder; what was left half-way is removed."""
        for folder in await asyncio.to_thread(_folders, self._root, age):
            if names := await asyncio.to_thread(_older_than, folder, age):
                yield names


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _folders(root: Path, age: timedelta) -> list[Path]:
    if not root.is_dir():
        return []
    for partial in root.rglob(".partial-*"):
        _delete_older(partial, max(age, timedelta(days=1)))
    return sorted(path for path in root.iterdir() if path.is_dir())


def _older_than(folder: Path, age: timedelta) -> list[str]:
    before = time.time() - age.total_seconds()
    with os.scandir(folder) as entries:
        return [one.name for one in entries if _NAME.fullmatch(one.name) and one.stat().st_mtime < before]


def _delete_older(path: Path, age: timedelta) -> bool:
    before = time.time() - age.total_seconds()
    aside = path.parent / f".partial-{uuid4().hex}"
    try:
        if path.stat().st_mtime >= before:
            return False
        # Taken aside first: whoever stores it again in this very moment must not lose what they stored.
        path.rename(aside)
        if aside.stat().st_mtime >= before:
            aside.replace(path)
            return False
        aside.unlink()
    except FileNotFoundError:
        return False
    return True


def _tenants(root: Path) -> list[TenantId]:
    found: list[TenantId] = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        try:
            found.append(TenantId(UUID(path.name)))
        except ValueError:
            continue
    return found
