"""What backups are made of: a target that keeps objects, an engine that reads a database, and refusals."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from metachat.foundation.errors import Kind, Refusal


class BackupRefusal(Refusal):
    """The backup could not be made or used."""

    code, kind = "backup_refused", Kind.UNAVAILABLE

    def __init__(self, found: str, fix: str) -> None:
        """Say what was found and the next move."""
        self.found = found
        self.fix = fix
        super().__init__(f"{found}\n{fix}", found=found, fix=fix)


class NoTarget(BackupRefusal):
    """METACHAT_BACKUP_TARGET names no place for backups."""

    code, kind = "no_backup_target", Kind.INVALID
    exit_code = 78  # EX_CONFIG


class TargetAway(BackupRefusal):
    """The place for backups did not answer."""

    code, kind = "backup_target_away", Kind.UNAVAILABLE


class TargetForbidden(BackupRefusal):
    """The place for backups does not let us in."""

    code, kind = "backup_target_forbidden", Kind.FORBIDDEN


class TargetFull(BackupRefusal):
    """The place for backups is full."""

    code, kind = "backup_target_full", Kind.UNAVAILABLE


class ObjectMissing(BackupRefusal):
    """The place for backups lacks a piece."""

    code, kind = "backup_piece_missing", Kind.NOT_FOUND


class ObjectDamaged(BackupRefusal):
    """A piece of a backup is not what was stored."""

    code, kind = "backup_piece_damaged", Kind.INVALID


class ManifestDamaged(BackupRefusal):
    """The list of what belongs to a backup is cut short or was altered."""

    code, kind = "backup_manifest_damaged", Kind.INVALID


class KeyMissing(BackupRefusal):
    """No key here opens this backup."""

    code, kind = "backup_key_missing", Kind.FORBIDDEN


class NoBackup(BackupRefusal):
    """There is no such backup."""

    code, kind = "no_backup", Kind.NOT_FOUND


class BackupRunning(BackupRefusal):
    """Another backup of this installation runs."""

    code, kind = "backup_running", Kind.CONFLICT
    exit_code = 75  # EX_TEMPFAIL


class LastGoodBackup(BackupRefusal):
    """This would delete the last good backup."""

    code, kind = "last_good_backup", Kind.CONFLICT


class NotEmpty(BackupRefusal):
    """The folder to restore into is not empty."""

    code, kind = "restore_target_not_empty", Kind.CONFLICT
    exit_code = 73  # EX_CANTCREAT


class NotThatFar(BackupRefusal):
    """The archived log does not reach the asked time."""

    code, kind = "not_that_far", Kind.NOT_FOUND


class WalConflict(BackupRefusal):
    """The archive has another log segment of the same name."""

    code, kind = "wal_conflict", Kind.CONFLICT


class ProgramFailed(BackupRefusal):
    """A program of Postgres failed."""

    code, kind = "postgres_program_failed", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Kept:
    """An object that a target keeps."""

    key: str
    size: int
    at: datetime


class Target(Protocol):
    """A place for objects of at most some 20 MB. Each call ends within a bounded time."""

    @property
    def address(self) -> str:
        """Where it is, as in METACHAT_BACKUP_TARGET; never holds a secret."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Keep an object, in place of what was there; proven before it returns, raises BackupRefusal."""
        ...

    def get(self, key: str) -> bytes:
        """Read an object; raises ObjectMissing."""
        ...

    def list(self, prefix: str) -> Iterator[Kept]:
        """Name the objects below a prefix, in no order."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; an absent one is no error."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What an engine knows of the database that it reads."""

    system_identifier: str
    postgres: int
    timeline: int
    size: int


class Engine(Protocol):
    """Reads a whole database while it runs, and brings one back."""

    def facts(self) -> Facts:
        """Ask the database who it is."""
        ...

    def read(self, codec: str) -> "Reading":
        """Begin to read the whole database as one stream, compressed."""
        ...

    def unpack(self, stream: IO[bytes], codec: str, into: Path) -> None:
        """Write what was read into an empty data directory."""
        ...


class Reading(Protocol):
    """A stream of a database in the making."""

    @property
    def stream(self) -> IO[bytes]:
        """The bytes."""
        ...

    def done(self) -> float:
        """How much of the database was read, from 0 to 1."""
        ...

    def finish(self) -> None:
        """Wait for its end; raises ProgramFailed when it did not end well."""
        ...

    def abort(self) -> None:
        """End it at once; nothing happens when it has ended."""
        ...
