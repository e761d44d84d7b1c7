"""Every row, document and secret of an installation into one encrypted file."""

import asyncio
import io
import os
import tarfile
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import asyncpg
import msgspec

from metachat.foundation import clock
from metachat.operations import age
from metachat.operations.backups import documents, keepsakes
from metachat.operations.backups.installation import Progress, Told
from metachat.operations.backups.logical import store
from metachat.operations.backups.logical.form import (
    DOCUMENTS,
    FORM,
    HEAD,
    SECRETS,
    TABLES,
    TAIL,
    Head,
    Table,
    Tail,
    Tally,
)
from metachat.operations.local import folder
from metachat.operations.secrets import Place

_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class From:
    """What is exported: a database by its superuser's address, secrets and documents."""

    address: str = field(repr=False)
    secrets: Place
    blobs: Path


def export(source: From, into: Path, recipients: Iterable[str], told: Told) -> Tail:
    """Write an export that the recipients' keys open; the file is there only when it is whole."""
    half = into.with_name(f".{into.name}.half")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            tail = _encrypted(source, out, recipients, told)
            out.flush()
            os.fsync(out.fileno())
        half.replace(into)
    finally:
        half.unlink(missing_ok=True)
    return tail


def _encrypted(source: From, out: IO[bytes], recipients: Iterable[str], told: Told) -> Tail:
    reading, writing = os.pipe()
    tails: list[Tail] = []
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe, tarfile.open(fileobj=pipe, mode="w|") as tar:
                tails.append(asyncio.run(_Writer(source, tar, told).write()))
        except BaseException as failure:
            failures.append(failure)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        age.encrypt_stream(pipe, out, recipients)
    thread.join()
    if failures:
        raise failures[0]
    return tails[0]


class _Writer:
    """Writes the members of one export."""

    def __init__(self, source: From, tar: tarfile.TarFile, told: Told) -> None:
        self._source, self._tar, self._told = source, tar, told

    async def write(self) -> Tail:
        self._add(SECRETS, keepsakes.secrets_of(self._source.secrets).to_json())
        async with (
            store.connected(self._source.address) as db,
            # One state of everything, whatever is written meanwhile.
            db.transaction(isolation="repeatable_read", readonly=True),
        ):
            head = await _head(db)
            self._add(HEAD, msgspec.json.encode(head))
            tables = {name: await self._table(db, head, name) for name in head.tables}
        # A document is stored before its row: all that the rows name are there.
        tail = Tail(tables, self._documents())
        self._add(TAIL, msgspec.json.encode(tail))
        return tail

    async def _table(self, db: asyncpg.Connection, head: Head, name: str) -> Table:
        tally, filling, number = Tally(), bytearray(), 0

        def hand() -> None:
            nonlocal number
            number += 1
            self._add(f"{TABLES}{name}/{number:06d}", zlib.compress(bytes(filling), 1))
            filling.clear()

        async def take(content: bytes) -> None:
            tally.add(content)
            filling.extend(content)
            if len(filling) >= _CHUNK:
                hand()
                self._told(Progress(name, tally.size, 0))

        rows = await store.read(db, name, head.tables[name], take)
        if filling:
            hand()
        self._told(Progress(name, tally.size, 1))
        return tally.of(rows)

    def _documents(self) -> int:
        found = list(documents.found(self._source.blobs))
        for number, (tenant, path) in enumerate(found, start=1):
            self._tar.add(path, f"{DOCUMENTS}{tenant}/{path.name}", recursive=False)
            self._told(Progress("documents", number, number / len(found)))
        return len(found)

    def _add(self, name: str, content: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o600
        self._tar.addfile(member, io.BytesIO(content))


async def _head(db: asyncpg.Connection) -> Head:
    tables, estimates = await store.tables(db)
    return Head(
        FORM, clock.now(), folder.version(), await store.migration(db), await store.major(db),
        tables, estimates, await store.sequences(db), await store.keys(db),
    )  # fmt: skip
