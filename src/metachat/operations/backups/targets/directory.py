"""Backups in a folder: another disk, or a mounted share."""

import contextlib
import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from metachat.operations.backups.contract import (
    BackupRefusal,
    Kept,
    ObjectMissing,
    TargetAway,
    TargetForbidden,
    TargetFull,
)

_HALF = ".half-"


class DirectoryTarget:
    """Objects as files, each written beside its place and moved in."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def address(self) -> str:
        """The folder."""
        return f"dir:{self._root}"

    def put(self, key: str, content: bytes) -> None:
        """Write a file durably; raises TargetFull, TargetForbidden, TargetAway."""
        path = self._root / key
        half = path.parent / f"{_HALF}{uuid4().hex}"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with half.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            half.replace(path)
            _sync(path.parent)
            if path.stat().st_size != len(content):
                raise TargetAway(f"{path} is shorter than what was written.", "Look at its disk.")
        except OSError as error:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)
            raise _refusal(path, error) from error

    def get(self, key: str) -> bytes:
        """Read a file; raises ObjectMissing."""
        try:
            return (self._root / key).read_bytes()
        except OSError as error:
            raise _refusal(self._root / key, error) from error

    def list(self, prefix: str) -> Iterator[Kept]:
        """Name the files below a folder."""
        self._check()
        for where, _, names in os.walk(self._root / prefix):
            for name in names:
                path = Path(where, name)
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    if not name.startswith(_HALF):
                        found = path.stat()
                        at = datetime.fromtimestamp(found.st_mtime, UTC)
                        yield Kept(path.relative_to(self._root).as_posix(), found.st_size, at)

    def delete(self, key: str) -> None:
        """Remove a file, and folders that are empty then."""
        path = self._root / key
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refusal(path, error) from error
        with contextlib.suppress(OSError):
            while path.parent != self._root:
                path = path.parent
                path.rmdir()

    def _check(self) -> None:
        # A share that is not mounted looks like a folder without backups, and must not.
        if not self._root.is_dir():
            raise TargetAway(f"There is no folder {self._root}.", "Mount it, or make it.")


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(path: Path, error: OSError) -> BackupRefusal:
    said = f"{path}: {error.strerror}."
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(said, "`metachat backup verify` tells which backups are whole.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TargetFull(said, "Free some space, or let `metachat backup prune` do it.")
    if isinstance(error, PermissionError):
        return TargetForbidden(said, "Give this account the right to write there.")
    return TargetAway(said, "Look at its disk.")
