"""What the last comparison found, kept in the data folder for whoever watches.

`drift-status.json` is one object: `at`, `ok` (whether everything could be looked at), `ok_at` (when that was
last so), `count` of all differences, and `servers` with the first differences of each, in words.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from metachat.foundation import clock
from metachat.operations.drift.model import Finding

FILE = "drift-status.json"
_TOLD = 50
_LARGEST = 1024 * 1024


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One server's comparison; ok is False where it could not be looked at, or not at all of it."""

    at: str
    ok: bool
    count: int
    told: list[str] = []


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The last comparison of every server."""

    at: str
    ok: bool
    ok_at: str | None
    count: int
    servers: dict[str, Compared] = {}


def compared(findings: list[Finding]) -> Compared:
    """Put a comparison into its short form."""
    ok = not any(finding.what == "inventory" for finding in findings)
    told = [finding.sentence for finding in findings[:_TOLD]]
    return Compared(at=_now(), ok=ok, count=len(findings), told=told)


def failed(reason: str) -> Compared:
    """A comparison that could not be made."""
    return Compared(at=_now(), ok=False, count=1, told=[reason])


def keep(data: Path, server: str, one: Compared) -> None:
    """Keep a server's comparison beside those of the others."""
    known = read(data)
    servers = {**(known.servers if known else {}), server: one}
    ok = all(each.ok for each in servers.values())
    ok_at = one.at if ok else known.ok_at if known else None
    count = sum(each.count for each in servers.values())
    _write(data, Status(at=one.at, ok=ok, ok_at=ok_at, count=count, servers=servers))


def read(data: Path) -> Status | None:
    """The last comparisons; None where nothing was compared, or the file cannot be read."""
    try:
        with (data / FILE).open("rb") as file:
            return msgspec.json.decode(file.read(_LARGEST), type=Status)
    except (OSError, msgspec.DecodeError):
        return None


def _write(data: Path, status: Status) -> None:
    """Write it whole. The folder may be another user's: no link in it is followed."""
    new = data / f".{FILE}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(msgspec.json.encode(status))
    new.replace(data / FILE)


def _now() -> str:
    return clock.now().isoformat(timespec="seconds")
