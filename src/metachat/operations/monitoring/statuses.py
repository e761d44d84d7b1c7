"""How the recurring operations went, from the files that each of them leaves in the data folder.

`NAME-status.json` is one object: `at` (when it last ended), `ok` (whether well), `ok_at` (when it last ended
well), times as ISO 8601 or seconds since 1970; and `count`, what it found waiting or amiss. What nobody wrote
is unknown.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from metachat.operations.backups import memory

OPERATIONS = ("backup", "drill", "canary", "archive", "drift")

_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Status:
    """How an operation went; ok_at in seconds since 1970, None where it never went well."""

    ok: bool
    ok_at: float | None
    count: float | None


def read(data: Path, operation: str) -> Status | None:
    """Read what an operation last told of itself; None when it never did, or is not to be understood."""
    found: Any = None
    with contextlib.suppress(OSError, ValueError), file(data, operation).open("rb") as opened:
        found = json.loads(opened.read(_LONGEST))
    if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
        return _remembered(memory.recall(data / "backups"), operation)
    ok_at = _seconds(found.get("ok_at"))
    if ok_at is None and found["ok"]:
        ok_at = _seconds(found.get("at"))
    count = found.get("count")
    return Status(found["ok"], ok_at, float(count) if isinstance(count, int | float) else None)


def _remembered(known: memory.Memory, operation: str) -> Status | None:
    """What `metachat backup` keeps of its own; it knows no time of a good drill before a bad one."""
    if operation == "backup" and (known.backup_at or known.backup_failure):
        return Status(not known.backup_failure, _stamp(known.backup_at), None)
    if operation == "drill" and known.drill_at:
        passed = known.drill_verdict == "passed"
        return Status(passed, _stamp(known.drill_at) if passed else None, None)
    if operation == "canary" and known.canary_at:
        return Status(ok=True, ok_at=_stamp(known.canary_at), count=None)
    if operation == "archive" and (known.shipped_at or known.failure):
        return Status(not known.failure, _stamp(known.shipped_at), known.waiting)
    return None


def _stamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def file(data: Path, operation: str) -> Path:
    """Where an operation tells how it went."""
    return data / f"{operation}-status.json"


def _seconds(told: Any) -> float | None:
    if isinstance(told, int | float):
        return float(told)
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(told).timestamp() if isinstance(told, str) else None
    return None
