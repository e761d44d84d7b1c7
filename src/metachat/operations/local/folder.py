"""The data folder: checked, and claimed by one `metachat up` at a time."""

import contextlib
import errno
import fcntl
import importlib.metadata
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal

MEBIBYTE = 1024 * 1024

# A new database with its log takes about 100 MiB; below the second figure a running one is at risk.
NEEDED_AT_FIRST = 400 * MEBIBYTE
NEEDED_LATER = 64 * MEBIBYTE

_LOCK_FILE = "up.lock"


class FolderNotWritable(Refusal):
    """The data folder cannot be written."""

    code = "data_folder_not_writable"
    kind = Kind.UNAVAILABLE
    exit_code = 73  # EX_CANTCREAT


class FolderFull(Refusal):
    """There is not enough disk space for the data folder."""

    code = "data_folder_full"
    kind = Kind.UNAVAILABLE
    exit_code = 73


class FolderInUse(Refusal):
    """Another `metachat up` runs on this data folder."""

    code = "data_folder_in_use"
    kind = Kind.CONFLICT
    exit_code = 75  # EX_TEMPFAIL


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run on a data folder, until released or until this process ends."""

    folder: Path
    lock: int

    def release(self) -> None:
        """Let another `metachat up` have the folder."""
        os.close(self.lock)


def claim(folder: Path) -> Claim:
    """Make the folder when missing, check it, and claim it.

    Raises FolderNotWritable, FolderFull, FolderInUse.
    """
    folder = folder.absolute()
    ensure(folder)
    lock = _lock(folder)
    try:
        _check_space(folder)
    except Refusal:
        os.close(lock)
        raise
    return Claim(folder, lock)


def ensure(folder: Path) -> None:
    """Make the folder when missing, and see that it takes bytes; raises FolderNotWritable, FolderFull."""
    advice = "Choose another with --data FOLDER, or give this account the right to write there."
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FolderNotWritable(f"{folder} is not a folder. Choose another with --data FOLDER.") from error
    except OSError as error:
        raise _refusal(folder, error, advice) from error
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as probe:
            probe.write(bytes(MEBIBYTE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise _refusal(folder, error, advice) from error


def holder(folder: Path) -> int | None:
    """Tell the pid of the `metachat up` that runs on a folder; None when none does."""
    try:
        lock = os.open(folder / _LOCK_FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(os.read(lock, 20) or 0)
    finally:
        os.close(lock)
    return None


def version() -> str:
    """Tell this version of metachat; on a server the name of its release, whose folder it lies in."""
    try:
        return importlib.metadata.version("metachat")
    except importlib.metadata.PackageNotFoundError:
        return Path(__file__).parents[3].name


def write(path: Path, text: str, mode: int) -> None:
    """Write a file in one step, with its mode from the first byte on."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
    Path(file.name).replace(path)


def size(folder: Path) -> int:
    """Count the bytes that a folder takes on disk."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total


def _refusal(folder: Path, error: OSError, advice: str) -> Refusal:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FolderFull(f"{folder}: {error.strerror}. Free some space, or choose another with --data.")
    return FolderNotWritable(f"{folder}: {error.strerror}. {advice}")


def _lock(folder: Path) -> int:
    lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        pid = os.read(lock, 20).decode().strip()
        os.close(lock)
        raise FolderInUse(
            f"{folder} is used by process {pid}. See `metachat status`; stop it with `metachat down`."
        ) from error
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    return lock


def _check_space(folder: Path) -> None:
    needed = NEEDED_LATER if (folder / "postgres").exists() else NEEDED_AT_FIRST
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FolderFull(
            f"{folder} has {free // MEBIBYTE} MiB free, and {needed // MEBIBYTE} MiB are needed."
            " Free some space, or choose another with --data."
        )
