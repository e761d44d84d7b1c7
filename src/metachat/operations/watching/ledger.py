"""The ledger of a watch: one JSON object a line, only added to, each naming the hash of the one before it."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "watch.jsonl"
BEGINNING = "0" * 64
# What is held back while the file cannot be written; a day of a round every half minute.
_MOST_HELD = 3000
# About a year at the usual pace. Bytes are counted, not days: a clock that is set cannot empty the ledger.
_MOST_BYTES = 256 * 1024 * 1024


@dataclass
class Ledger:
    """Adds lines; what cannot be written now is kept, within bounds, and written later."""

    path: Path
    trouble: str = ""
    most: int = _MOST_BYTES
    _held: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: dict[str, Any]) -> bool:
        """Add an entry; False when it had to be held back, and `trouble` says why."""
        self._held = [*self._held, entry][-_MOST_HELD:]
        try:
            self._write()
        except OSError as error:
            self.trouble = f"{self.path}: {error.strerror or type(error).__name__}"
            return False
        self.trouble = ""
        self._held = []
        try:
            self._trim()
        except OSError as error:
            self.trouble = f"{self.path} cannot be trimmed: {error.strerror or type(error).__name__}"
        return True

    def _write(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # The last line of the file, whoever wrote it: the chain goes on from what is really there.
            size = os.fstat(handle).st_size
            tail = os.pread(handle, 65_536, max(0, size - 65_536))
            before = hash_of(tail.splitlines()[-1]) if tail else BEGINNING
            new = b"" if not tail or tail.endswith(b"\n") else b"\n"
            for entry in self._held:
                line = json.dumps({**entry, "before": before}, ensure_ascii=False).encode()
                before = hash_of(line)
                new += line + b"\n"
            if os.write(handle, new) < len(new):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(handle)
        finally:
            os.close(handle)

    def _trim(self) -> None:
        """Take off the oldest quarter once it is too large; the first line then says so."""
        size = self.path.stat().st_size
        if size <= self.most:
            return
        new = self.path.with_suffix(".new")
        with self.path.open("rb") as old, new.open("wb") as kept:
            os.fchmod(kept.fileno(), 0o600)
            old.seek(size - self.most * 3 // 4)
            old.readline()
            for line in old:
                first = _parsed(line)
                if first is not None:
                    break
            else:
                return
            anchor = {"trimmed": first["at"], "before": first["before"]}
            kept.write(json.dumps(anchor).encode() + b"\n" + line)
            shutil.copyfileobj(old, kept, 1024 * 1024)
            kept.flush()
            os.fsync(kept.fileno())
        new.replace(self.path)


def trimmed(path: Path) -> float | None:
    """Since when there is a ledger, where older lines were taken off; in seconds since 1970."""
    first = next(entries(path), None)
    return float(first["trimmed"]) if first is not None and "trimmed" in first else None


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """Read what a ledger holds, in its order; a torn line is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            entry = _parsed(line)
            if entry is not None:
                yield entry


def broken(path: Path) -> str | None:
    """Tell where the chain is broken; None when it is whole."""
    before = BEGINNING
    if not path.is_file():
        return None
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            entry = _parsed(line)
            if number == 1 and entry is not None and "trimmed" in entry:
                # What it followed from is gone, and this line stands for it.
                before = str(entry["before"])
                continue
            if entry is not None and entry.get("before") != before:
                return f"line {number} does not follow from the line before it"
            before = hash_of(line.rstrip(b"\n"))
    return None


def hash_of(line: bytes) -> str:
    """What the next line names."""
    return hashlib.sha256(line).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
