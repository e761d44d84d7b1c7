"""A restored data directory, held against the manifest that Postgres put into the backup.

Done by hand, as `pg_verifybackup` does it: the embedded build's own crashes at its start.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metachat.operations.backups.contract import ObjectDamaged

_MANIFEST = "backup_manifest"
_FIX = "Use another backup."

# What the backup's own making adds.
_UNLISTED = frozenset({_MANIFEST, "recovery.signal"})


def prove(data: Path, told: Callable[[int], None] = lambda size: None) -> int:
    """Check every file's size and SHA-256, and that none is there that should not; tells how many there are.

    Raises ObjectDamaged.
    """
    listed = _files(data / _MANIFEST)
    size = 0
    for name, file in listed.items():
        _check(data / name, name, file)
        size += int(file["Size"])
        told(size)
    extra = [one for one in _found(data) if one not in listed and one not in _UNLISTED]
    if extra:
        raise ObjectDamaged(f"{extra[0]} does not belong to the backup.", _FIX)
    return len(listed)


def _files(path: Path) -> dict[str, dict[str, Any]]:
    """Read the manifest, whose last line is the checksum of all before it."""
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        before = content[: content.rindex(b'"Manifest-Checksum"')]
        if hashlib.sha256(before).hexdigest() != manifest["Manifest-Checksum"]:
            raise ObjectDamaged("The list of Postgres's files was altered.", _FIX)
        return {_name(file): file for file in manifest["Files"]}
    except (OSError, ValueError, KeyError) as error:
        raise ObjectDamaged("The backup lacks the list of Postgres's files.", _FIX) from error


def _name(file: dict[str, Any]) -> str:
    return file["Path"] if "Path" in file else bytes.fromhex(file["Encoded-Path"]).decode("latin-1")


def _check(path: Path, name: str, file: dict[str, Any]) -> None:
    try:
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        raise ObjectDamaged(f"The backup lacks {name}.", _FIX) from error
    if size != file["Size"] or (file["Checksum-Algorithm"], file["Checksum"]) != ("SHA256", digest):
        raise ObjectDamaged(f"{name} is not what was backed up.", _FIX)


def _found(data: Path) -> list[str]:
    found = [path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()]
    # The log is proven by its own checksums when it is read.
    return [one for one in found if not one.startswith("pg_wal/")]
