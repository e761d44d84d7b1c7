"""The form of an export: an age file that holds a tar file, whose first and last members say what it is.

`head.json`, then `secrets.json`, `tables/NAME/NUMBER` (what COPY writes, compressed, a few MB each),
`documents/TENANT/SHA256`, and `tail.json` with the numbers that must have arrived.
"""

import hashlib
from datetime import datetime

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.key_records import State

FORM = "metachat export 1"
HEAD, SECRETS, TAIL = "head.json", "secrets.json", "tail.json"
TABLES, DOCUMENTS = "tables/", "documents/"


class ExportRefused(Refusal):
    """The data was not exported or imported; nothing was changed."""

    code, kind = "export_refused", Kind.CONFLICT

    def __init__(self, found: str, fix: str) -> None:
        """Say what was found and the next move."""
        super().__init__(f"{found}\n{fix}", found=found, fix=fix)


class ExportDamaged(ExportRefused):
    """The file is cut short or damaged; nothing was imported."""

    code, kind = "export_damaged", Kind.INVALID


class NotEmptyThere(ExportRefused):
    """The database to import into holds something; nothing was changed."""

    code = "import_target_not_empty"
    exit_code = 73  # EX_CANTCREAT


class Key(msgspec.Struct, frozen=True):
    """A key that rows are sealed, hashed or signed with, by fingerprint."""

    name: str
    id: str
    state: State


class Sequence(msgspec.Struct, frozen=True):
    """Where a sequence stands."""

    value: int
    called: bool


class Head(msgspec.Struct, frozen=True):
    """What an export is; tables with their columns, and their estimated number of rows."""

    form: str
    at: datetime
    release: str
    migration: int
    postgres: int
    tables: dict[str, tuple[str, ...]]
    estimates: dict[str, int]
    sequences: dict[str, Sequence]
    keys: tuple[Key, ...]


class Table(msgspec.Struct, frozen=True):
    """What must have arrived of a table: its rows, and the SHA-256 of all that COPY wrote."""

    rows: int
    sha256: str


class Tail(msgspec.Struct, frozen=True):
    """What must have arrived."""

    tables: dict[str, Table]
    documents: int


class Tally:
    """Hashes a table's content on its way."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._digest = hashlib.sha256()
        self.size = self.rows = 0

    def add(self, content: bytes) -> None:
        """Count some more of it."""
        self._digest.update(content)
        self.size += len(content)
        self.rows += content.count(b"\n")

    def of(self, rows: int) -> Table:
        """Tell what was counted."""
        return Table(rows, self._digest.hexdigest())
