"""The journal of operations: who did what, when, and how it ended; only ever added to.

One JSON object a line, in the data folder's `journal.jsonl`. Each line names the hash of the one before it,
and `journal.head` that of the last, so that a line changed or taken out shows.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metachat.foundation import clock, redaction
from metachat.foundation.errors import Kind, Refusal

FILE = "journal.jsonl"
HEAD = "journal.head"

_BEGINNING = "0" * 64
_LONGEST_LINE = 64 * 1024


class JournalUnwritable(Refusal):
    """The journal of operations cannot be written, so nothing was done."""

    code, kind = "journal_unwritable", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done; `about` names its object, `result` is "ok" or the code of what went wrong."""

    at: str
    who: str
    what: str
    about: str
    result: str


def record(data: Path, what: str, about: str = "", result: str = "ok") -> None:
    """Add an entry; never put a value into it. Raises JournalUnwritable."""
    about = redaction.clean(about)
    entry = {"at": clock.now().isoformat(), "who": who(), "what": what, "about": about, "result": result}
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _open(data / FILE) as file:
            _append(file, data / HEAD, entry)
    except OSError as error:
        raise JournalUnwritable(f"{data / FILE}: {error.strerror}. Make the data folder writable.") from error


@contextlib.contextmanager
def recorded(data: Path, what: str, about: str = "") -> Iterator[None]:
    """Record what is done inside, and how it ended."""
    try:
        yield
    except Refusal as refusal:
        record(data, what, getattr(refusal, "about", about), refusal.code)
        raise
    except BaseException as error:
        record(data, what, about, type(error).__name__)
        raise
    record(data, what, about)


def entries(data: Path) -> list[Entry]:
    """Read all entries, the oldest first; torn lines are left out."""
    found: list[Entry] = []
    for line in _lines(data / FILE):
        parsed = _parsed(line)
        if parsed is not None:
            found.append(Entry(*(str(parsed.get(name, "")) for name in Entry.__slots__)))
    return found


def broken(data: Path) -> str | None:
    """Tell where the chain is broken; None when it is whole."""
    before: str = _BEGINNING
    lines = _lines(data / FILE)
    hashes: list[str] = [before]
    for number, line in enumerate(lines, start=1):
        parsed = _parsed(line)
        if parsed is not None and parsed.get("before") != before:
            return f"line {number} does not follow from the line before it"
        before = _hash(line)
        hashes.append(before)
    # The head may lag behind, when a crash came between the two writes; it never runs ahead.
    count, known = _head(data / HEAD)
    if len(lines) > 1 and known == _BEGINNING:
        return f"{HEAD} is missing"
    if count >= len(hashes) or hashes[count] != known:
        return f"there were {count} lines, and the last of them is gone or another one"
    return None


def who() -> str:
    """Name the account, and whoever stands behind it."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        account = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    return f"{account} ({behind})" if behind and behind != account else account


@contextlib.contextmanager
def _open(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _append(file: int, head: Path, entry: dict[str, str]) -> None:
    tail = _tail(file)
    count, before = _end(file, head, tail.splitlines()[-1:])
    line = json.dumps({**entry, "before": before}, ensure_ascii=False).encode()
    # A line that a crash tore is left as it is, and closed.
    os.write(file, (b"" if tail.endswith(b"\n") or not tail else b"\n") + line + b"\n")
    os.fsync(file)
    new = head.with_name(f".{HEAD}.new")
    new.write_text(f"{count + 1} {_hash(line)}\n")
    new.chmod(0o600)
    new.replace(head)


def _tail(file: int) -> bytes:
    size = os.fstat(file).st_size
    return os.pread(file, _LONGEST_LINE, max(0, size - _LONGEST_LINE))


def _end(file: int, head: Path, last: list[bytes]) -> tuple[int, str]:
    """Tell how many lines there are, and the hash that the next one names.

    When the head's line is gone, the next one names it all the same: so going on hides nothing.
    """
    count, known = _head(head)
    if last and known == _hash(last[0]):
        return count, known
    hashes = [_BEGINNING, *map(_hash, os.pread(file, os.fstat(file).st_size, 0).splitlines())]
    whole = hashes[count] == known if count < len(hashes) else False
    # A crash between the two writes leaves the head one line behind, or missing after the first line.
    if whole and (known != _BEGINNING or len(hashes) <= 2):
        return len(hashes) - 1, hashes[-1]
    return max(count, len(hashes) - 1), known


def _head(path: Path) -> tuple[int, str]:
    with contextlib.suppress(OSError, ValueError):
        count, known = path.read_text().split()
        return int(count), known
    return 0, _BEGINNING


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _parsed(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None


def _hash(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
