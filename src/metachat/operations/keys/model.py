"""What is known of a rotation, what it may refuse with, and what comes next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.key_records import State
from metachat.foundation.keyring import Keyring

# How long an old key is accepted beside the new one. Visitors' tokens live for 90 days; an API key that is
# used within 30 is moved unawares. The encryption key has no such time: its rows are moved at once.
OVERLAP: Mapping[str, timedelta] = {
    "session_secret": timedelta(days=90),
    "api_key_pepper": timedelta(days=30),
    "encryption_key": timedelta(),
}


class RotationRunning(Refusal):
    """Another rotation runs on this database."""

    code, kind = "rotation_running", Kind.CONFLICT
    exit_code = 75  # EX_TEMPFAIL


class NeverStarted(Refusal):
    """This database knows no keys yet; start the platform once, then rotate."""

    code, kind = "never_started", Kind.CONFLICT


class NothingToResume(Refusal):
    """No rotation of this secret has been begun."""

    code, kind = "nothing_to_resume", Kind.CONFLICT


class NothingToRetire(Refusal):
    """No old key of this name is accepted any more."""

    code, kind = "nothing_to_retire", Kind.CONFLICT


class OverlapLasts(Refusal):
    """The old key is still in its overlap; end it early with --now."""

    code, kind = "overlap_lasts", Kind.CONFLICT


class ProcessesBehind(Refusal):
    """Some processes have not taken the keys up yet; start them anew one after the other, then --resume."""

    code, kind = "processes_behind", Kind.UNAVAILABLE
    exit_code = 75  # EX_TEMPFAIL


class RowsBroken(Refusal):
    """Some encrypted rows do not decrypt, so the old key is kept; enter their secrets anew, then --resume."""

    code, kind = "rows_broken", Kind.CONFLICT


class Step(Enum):
    """What comes next in a rotation."""

    MAKE = "make a new key"
    HAND_OUT = "hand the new key out"
    USE = "take the new key into use"
    MOVE = "move what is under the old key"
    DROP = "take retired keys out of the ring"


@dataclass(frozen=True, slots=True)
class Record:
    """What a database says of a key."""

    name: str
    id: str
    state: State
    recorded_at: datetime
    current_since: datetime | None
    old_since: datetime | None
    retired_at: datetime | None
    rows_done: int
    rows_total: int | None


@dataclass(frozen=True, slots=True)
class Holder:
    """A running process and the ids of its keys, those in use first."""

    role: str
    host: str
    pid: int
    rings: Mapping[str, Sequence[str]]
    started_at: datetime

    def __str__(self) -> str:
        return f"{self.role} (process {self.pid} on {self.host})"


def next_step(ring: Keyring, records: Sequence[Record]) -> Step:
    """Tell what comes next, from the ring in the store and what the database says of its keys alone.

    Nothing else is remembered, so that a rotation goes on wherever it was killed.
    """
    states = {record.id: record.state for record in records}
    if "old" in states.values():
        return Step.MOVE if states.get(ring.current.id) == "current" else Step.USE
    if any(states.get(id) == "retired" for id in ring.ids):
        return Step.DROP
    if any(states.get(id) != "current" for id in ring.ids):
        return Step.HAND_OUT
    return Step.MAKE


@dataclass(frozen=True, slots=True)
class Sealed:
    """The encrypted rows: how many under which key, and those that do not open."""

    under: Mapping[str, int]
    broken: Sequence["Broken"]

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.under.values())


@dataclass(frozen=True, slots=True)
class Broken:
    """An encrypted value that does not decrypt."""

    column: str
    tenant: UUID
    row: str

    def __str__(self) -> str:
        return f"{self.column} of tenant {self.tenant}{f', row {self.row}' if self.row else ''}"


def current(records: Sequence[Record]) -> Record:
    """The key in use; raises NeverStarted."""
    found = next((record for record in records if record.state == "current"), None)
    if found is None:
        raise NeverStarted
    return found


def old(records: Sequence[Record]) -> list[Record]:
    """The keys that are still accepted."""
    return [record for record in records if record.state == "old"]


def overlap_ends(record: Record) -> datetime | None:
    """When an old key may be retired; None while it is not old."""
    return None if record.old_since is None else record.old_since + OVERLAP[record.name]
