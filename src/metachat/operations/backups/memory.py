"""What the archive remembers between its runs, for `metachat backup status` and the metrics."""

import contextlib
import fcntl
import os
from datetime import datetime
from pathlib import Path

import msgspec

from metachat.operations.local.folder import write

_FILE = "state.json"


class Memory(msgspec.Struct, frozen=True):
    """What happened last; None for what never did. `failure` is the archive's, until it is over.

    `canary_at` is the time of the newest canary row that arrived in the target; `waiting` are segments that
    have not been sent.
    """

    canary_at: datetime | None = None
    canary_seconds: float | None = None
    shipped: str = ""
    shipped_at: datetime | None = None
    waiting: int = 0
    failure: str = ""
    failing_since: datetime | None = None
    backup_at: datetime | None = None
    backup_id: str = ""
    backup_failure: str = ""
    drill_at: datetime | None = None
    drill_verdict: str = ""


def recall(folder: Path) -> Memory:
    """Read it; a new one when there is none."""
    with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Memory)
    return Memory()


def remember(folder: Path, **changes: object) -> Memory:
    """Change some of it in one step, whoever else remembers something meanwhile."""
    folder.mkdir(mode=0o750, exist_ok=True)
    # Archive, backups and drills are processes of their own; the file is replaced, so its folder is locked.
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        changed = msgspec.structs.replace(recall(folder), **changes)
        write(folder / _FILE, msgspec.json.encode(changed).decode(), 0o640)
    finally:
        os.close(held)
    return changed
