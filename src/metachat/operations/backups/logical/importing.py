"""An export into an empty database of this version, on any version of Postgres; all of it or nothing."""

import asyncio
import contextlib
import hashlib
import io
import os
import tarfile
import threading
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups.contract import KeyMissing
from metachat.operations.backups.installation import Progress, Told
from metachat.operations.backups.logical import store
from metachat.operations.backups.logical.form import (
    DOCUMENTS,
    FORM,
    HEAD,
    SECRETS,
    TABLES,
    TAIL,
    ExportDamaged,
    ExportRefused,
    Head,
    NotEmptyThere,
    Table,
    Tail,
    Tally,
)

_Kind = TypeVar("_Kind", Head, Tail)
_AGAIN = "Export again, and copy the file whole."


@dataclass(frozen=True, slots=True)
class Export:
    """A file and the key that opens it."""

    file: Path
    identity: Secret = field(repr=False)


def secrets_of(export: Export) -> bytes:
    """Read the bundle of secrets alone, which comes first; raises ExportDamaged, KeyMissing."""
    with _opened(export) as members:
        return members.take(SECRETS)


def head_of(export: Export) -> Head:
    """Read what an export is; raises ExportDamaged, KeyMissing."""
    with _opened(export) as members:
        members.take(SECRETS)
        return _head(members)


def import_into(address: str, blobs: Path, export: Export, told: Told) -> Tail:
    """Fill the empty database at a superuser's address, and the folder of documents.

    Raises ExportDamaged, ExportRefused, NotEmptyThere, KeyMissing; the database is as before then.
    """
    with _opened(export) as members:
        tail = asyncio.run(_import(address, members, blobs, told))
    asyncio.run(store.settle(address))
    return tail


async def _import(address: str, members: "_Members", blobs: Path, told: Told) -> Tail:
    members.take(SECRETS)
    head = _head(members)
    async with store.connected(address) as db, db.transaction():
        await _check(db, head)
        await store.make_room(db)
        arrived = {name: await _table(db, head, name, members, told) for name in head.tables}
        kept = _documents(members, blobs, told)
        tail = _decode(members.take(TAIL), Tail)
        if tail != Tail(arrived, kept):
            wrong = [name for name, one in tail.tables.items() if arrived.get(name) != one] or ["documents"]
            raise ExportDamaged(f"Not all of {wrong[0]} arrived.", _AGAIN)
        await store.place(db, head.sequences)
    return tail


async def _check(db: asyncpg.Connection, head: Head) -> None:
    """Refuse what would not fit."""
    found = await store.migration(db)
    if found != head.migration:
        raise ExportRefused(
            f"The export is at migration {head.migration}, this database at {found}.",
            f"Import with metachat {head.release}, on a database that it has migrated; upgrade afterwards.",
        )
    tables, _ = await store.tables(db)
    different = sorted(
        name
        for name in {*tables, *head.tables}
        if set(tables.get(name, ())) != set(head.tables.get(name, ()))
    )
    if different:
        raise ExportRefused(f"The tables differ: {', '.join(different)}.", f"Import with {head.release}.")
    filled = await store.filled(db, tables)
    if filled:
        raise NotEmptyThere(
            f"There are rows in {', '.join(filled[:5])}.",
            "Import into a new database, before anybody uses it.",
        )


async def _table(db: asyncpg.Connection, head: Head, name: str, members: "_Members", told: Told) -> Table:
    tally, expected = Tally(), max(1, head.estimates.get(name, 0))

    async def content() -> AsyncIterator[bytes]:
        for packed in members.below(f"{TABLES}{name}/"):
            plain = zlib.decompress(packed)
            tally.add(plain)
            told(Progress(name, tally.size, min(0.99, tally.rows / expected)))
            yield plain

    rows = await store.write(db, name, head.tables[name], content())
    told(Progress(name, tally.size, 1))
    return tally.of(rows)


def _documents(members: "_Members", blobs: Path, told: Told) -> int:
    number = 0
    while members.name.startswith(DOCUMENTS):
        tenant, _, sha256 = members.name.removeprefix(DOCUMENTS).partition("/")
        bring_in(blobs, tenant, sha256, members.into)
        members.next()
        number += 1
        told(Progress("documents", number, 0))
    return number


def bring_in(blobs: Path, tenant: str, sha256: str, write: Callable[[IO[bytes]], str]) -> None:
    """Write a document durably to its place; raises ExportDamaged when its content is another's."""
    path = blobs / str(UUID(tenant)) / sha256[:2] / sha256
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = path.with_name(f".partial-{sha256[:32]}")
    with half.open("wb") as file:
        found = write(file)
        file.flush()
        os.fsync(file.fileno())
    if found != sha256:
        half.unlink()
        raise ExportDamaged(f"Document {tenant}/{sha256} has other content.", _AGAIN)
    half.replace(path)


class _Members:
    """The members of the tar file, one after the other."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._member: tarfile.TarInfo | None = None
        self.next()

    @property
    def name(self) -> str:
        """The name of the current one; empty after the last."""
        return "" if self._member is None else self._member.name

    def next(self) -> None:
        """Go on to the next one."""
        self._member = self._tar.next()

    def take(self, name: str) -> bytes:
        """Read the current one, which must be named so, and go on."""
        if self.name != name:
            raise ExportDamaged(f"{name} is missing.", _AGAIN)
        out = io.BytesIO()
        self.into(out)
        self.next()
        return out.getvalue()

    def below(self, prefix: str) -> Iterator[bytes]:
        """Read those in a folder."""
        while self.name.startswith(prefix):
            yield self.take(self.name)

    def into(self, out: IO[bytes]) -> str:
        """Copy the current one; tells its SHA-256."""
        assert self._member is not None
        content, digest = self._tar.extractfile(self._member), hashlib.sha256()
        while content is not None and (part := content.read(1024 * 1024)):
            digest.update(part)
            out.write(part)
        return digest.hexdigest()


@contextlib.contextmanager
def _opened(export: Export) -> Iterator[_Members]:
    """Decrypt on the way; what is wrong with the file is told in place of what it led to."""
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def decrypt() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
            try:
                with export.file.open("rb") as file:
                    age.decrypt_stream(file, pipe, export.identity)
            except (age.NotOpened, OSError) as failure:
                failures.append(failure)

    thread = threading.Thread(target=decrypt, daemon=True)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as pipe, tarfile.open(fileobj=pipe, mode="r|") as tar:
            yield _Members(tar)
    except (tarfile.TarError, zlib.error, asyncpg.PostgresError, ExportDamaged, OSError, EOFError) as error:
        thread.join()
        raise _why(export, failures, error) from error
    thread.join()


def _why(export: Export, failures: list[Exception], error: Exception) -> Exception:
    first = next((one for one in failures if not isinstance(one, BrokenPipeError)), None)
    if isinstance(first, age.NotOpened) and "No matching keys" in str(first):
        return KeyMissing(f"The key does not open {export.file}.", "Name the key with --identity.")
    if first is not None:
        return ExportDamaged(f"{export.file}: {first}.", _AGAIN)
    if isinstance(error, tarfile.TarError | zlib.error | EOFError):
        return ExportDamaged(f"{export.file}: {error}.", _AGAIN)
    return error


def _head(members: _Members) -> Head:
    head = _decode(members.take(HEAD), Head)
    if head.form != FORM:
        raise ExportDamaged(
            f"This is a {head.form}; this version reads {FORM}.", "Use the version that made it."
        )
    return head


def _decode(content: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.MsgspecError as error:
        raise ExportDamaged(f"{kind.__name__} is not readable: {error}.", _AGAIN) from error
