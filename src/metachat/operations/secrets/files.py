"""Files with secrets: locked while they change, replaced in one step, never readable by others."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from metachat.operations.secrets.contract import (
    StoreBusy,
    StoreForbidden,
    StoreMissing,
    StoreUnreachable,
    UnfitValue,
)

LOCK_SECONDS = 10.0
LARGEST = 4 * 1024 * 1024


@contextlib.contextmanager
def exclusively(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Let one process at a time change a file; raises StoreBusy when the others take too long.

    The lock is on the folder: it outlives the file's replacement, and leaves nothing in a Git work tree.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise missing_or_unreadable(path.parent, error) from error
    try:
        _lock(folder, path, time.monotonic() + seconds)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreBusy(
                    f"Another process is changing {path}.", "Try again when it is done."
                ) from None
            time.sleep(0.02)
        else:
            return


def replace(path: Path, text: str, mode: int) -> None:
    """Write a file in one step and durably: after a crash it is the old one or the new one.

    Call it under `exclusively`: what a killed writer left half-written is then nobody's, and is overwritten.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(handle)
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise missing_or_unreadable(path, error) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> bytes:
    """Read a small file; raises StoreMissing, StoreForbidden, StoreUnreachable."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise missing_or_unreadable(path, error) from error
    if len(content) > LARGEST:
        raise StoreUnreachable(
            f"{path} is larger than {LARGEST:,} bytes.", "See whether it is the right file."
        )
    return content


def read_text(path: Path) -> str:
    """Read a small file of text; raises UnfitValue besides what `read` does."""
    try:
        return read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnfitValue(f"{path} is not text.", "See whether it is the right file.") from error


def read_private(path: Path, what: str) -> str:
    """Read a file that only we may read, such as a token's; raises StoreForbidden with the chmod to run."""
    check_private(path)
    try:
        return read_text(path).strip()
    except StoreMissing as error:
        raise StoreForbidden(f"There is no {path}.", f"Put {what} there, with mode 600.") from error


def check_private(path: Path) -> None:
    """Refuse a file that group or others may read; raises StoreForbidden with the chmod to run."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return  # whoever reads it says it better
    if mode & 0o077:
        raise StoreForbidden(f"{path}: others may read it (mode {mode:o}).", f"Run: chmod 600 {path}")


def missing_or_unreadable(path: Path, error: OSError) -> StoreMissing | StoreForbidden | StoreUnreachable:
    """Name what the file system said."""
    said = f"{path}: {error.strerror}."
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return StoreMissing(
            said, "See whether the path is right; `metachat secrets generate` makes a new store."
        )
    if isinstance(error, PermissionError):
        return StoreForbidden(said, f"Run as the account that owns it: ls -l {path}")
    return StoreUnreachable(said, f"See whether its disk is well: ls -l {path.parent}")


def write_new(path: Path, content: bytes) -> None:
    """Write a file of mode 600 that does not exist yet, durably; raises StoreForbidden."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(handle)
    except FileExistsError as error:
        raise StoreForbidden(f"{path} exists.", "Choose another file; this is never overwritten.") from error
    except OSError as error:
        raise missing_or_unreadable(path, error) from error
