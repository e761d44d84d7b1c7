"""The drill: a restore from the target alone, beside production, and proof that what came back is of use."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from metachat.foundation import clock, migrations
from metachat.foundation.crypto import SealBroken
from metachat.foundation.errors import Refusal
from metachat.foundation.keyring import Keyring
from metachat.foundation.sealed_columns import SEALED_COLUMNS, SealedColumn
from metachat.foundation.sealing import unseal
from metachat.foundation.settings import Secret, read_secrets
from metachat.operations import journal
from metachat.operations.backups import (
    amcheck,
    answering,
    keepsakes,
    memory,
    priority,
    restoring,
    rows,
    signing,
)
from metachat.operations.backups.database import Server
from metachat.operations.backups.installation import Installation, Told, alone, quietly
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.restoring import Restored, Source, Wanted
from metachat.operations.findings import Finding
from metachat.operations.local import keys
from metachat.operations.local.postgres import Cluster

VERB = "backup.drill"
PASSED, FAILED = "passed", "failed"

RPO_SECONDS = 60.0

# More would tell little more, and take long on a large database.
_SAMPLE = 50

# Of the disk, for production to write on while the copy is there.
_SPARE = 1024**3

_LOCK, _SCRATCH = "drill.lock", ".drill-"

_MIGRATIONS = "SELECT max(number) FROM schema_migrations"


class Phase(msgspec.Struct, frozen=True):
    """A part of the drill, and how long it took."""

    name: str
    seconds: float


class Checked(msgspec.Struct, frozen=True):
    """One check of what came back."""

    name: str
    passed: bool
    found: str


class Record(msgspec.Struct, frozen=True):
    """How a drill went; `rto`: seconds to an answer, `rpo`: age of the newest canary when it began."""

    at: datetime
    backup: str
    verdict: str
    rto: float
    rpo: float | None
    bytes: int
    segments: int
    phases: tuple[Phase, ...]
    checks: tuple[Checked, ...]


@dataclass
class _Clock:
    """Times the phases."""

    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name, round(time.monotonic() - began, 2)))


def drill(installation: Installation, told: Told = quietly) -> Record:
    """Restore from the target, check everything, throw it away, and record how it went.

    From then on this process is one of low priority. Raises BackupRunning while another drill runs.
    """
    with alone(installation.data, _LOCK):
        for left in installation.data.glob(f"{_SCRATCH}*"):  # by one that was killed
            _throw_away(left)
        priority.step_back()
        record = _timed(installation, told)
    _keep(installation, record)
    return record


def _timed(installation: Installation, told: Told) -> Record:
    at, began, timed = clock.now(), time.monotonic(), _Clock()
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=installation.data))
    try:
        return _drill(installation, scratch / "data", at, began, timed, told)
    except Refusal as refusal:
        failed = Checked("restore", passed=False, found=f"{refusal.sentence} {refusal.detail or ''}".strip())
        return Record(at, "", FAILED, _since(began), None, 0, 0, tuple(timed.phases), (failed,))
    finally:
        _throw_away(scratch)


def _drill(
    installation: Installation, into: Path, at: datetime, began: float, timed: _Clock, told: Told
) -> Record:
    own = signing.signer(installation.identity)
    with timed("restore"):
        source = Source(installation.target, installation.identity, own)
        restored = restoring.restore(source, into, Wanted(spare=_SPARE), told)
    cluster = Cluster(into / "postgres")
    # Settings for a machine of its own would take what production needs.
    (cluster.home / keepsakes.CUSTOM).unlink(missing_ok=True)
    cluster.start()
    try:
        with timed("checks"):
            checks = _checks(restored, into, Server.embedded(cluster), at)
            asked = answering.question(Server.embedded(cluster))
            answering.forget_work(Server.embedded(cluster))
    finally:
        cluster.stop()
    with timed("answer"):
        checks.append(
            _named(
                "the application answers", lambda: answering.answer(into, asked, installation.secrets.environ)
            )
        )
    verdict = PASSED if all(one.passed for one in checks) else FAILED
    rpo = None if restored.newest is None else round((at - restored.newest).total_seconds(), 1)
    of = restored.manifest
    return Record(
        at, of.id, verdict, _since(began), rpo, of.stored, restored.segments, tuple(timed.phases),
        tuple(Checked(one.name, one.passed, one.found) for one in checks),
    )  # fmt: skip


def _checks(restored: Restored, into: Path, server: Server, at: datetime) -> list[Finding]:
    of = restored.manifest
    return [
        Finding.good("files of Postgres", "sizes and SHA-256 as in the backup's own manifest"),
        _named("pages and rows", lambda: _scan(server)),
        _named("numbers of rows", lambda: _rows(restored, server)),
        _named("migrations", lambda: _migrations(server, of.migration)),
        _canary(restored.newest, at),
        _named("keys", lambda: _keys(of, server, into)),
        _named("sealed values", lambda: _sealed(server, into)),
        Finding.good("documents", f"{of.document_count}, each hashed"),
    ]  # fmt: skip


def _named(name: str, check: Callable[[], str]) -> Finding:
    """Run a check; what it refuses with is what was found."""
    try:
        return Finding.good(name, check())
    except (Refusal, SealBroken) as refusal:
        return Finding.bad(name, str(refusal), "Use another backup, and look for the cause.")


class CheckFailed(Refusal):
    """What came back is not what it should be."""

    code = "drill_check_failed"


def _scan(server: Server) -> str:
    """Have every row read, with the checksum of every page, and every index where amcheck is."""
    counted = rows.count(server, keys.DATABASE)
    checksums = server.one("SHOW data_checksums")
    told = f"{sum(counted.values()):,} rows read, page checksums {checksums}"
    return f"{told}; {amcheck.check(server, keys.DATABASE)}"


def _rows(restored: Restored, server: Server) -> str:
    found = rows.count(server, keys.DATABASE)
    if lacking := rows.lacking(restored.manifest.rows, found):
        raise CheckFailed("; ".join(lacking))
    return f"{len(found)} tables hold what they held"


def _migrations(server: Server, expected: int) -> str:
    applied = int(server.one(_MIGRATIONS, keys.DATABASE))
    if applied != expected or applied > migrations.newest():
        raise CheckFailed(f"it is at {applied}; the backup says {expected}")
    return f"at {applied}"


def _canary(newest: datetime | None, at: datetime) -> Finding:
    name, fix = "the canary", "See `metachat backup status`: the log does not arrive in time."
    if newest is None:
        return Finding.bad(name, "there is none", fix)
    age = (at - newest).total_seconds()
    told = f"{age:.1f} s old when the drill began"
    return Finding.good(name, told) if age <= RPO_SECONDS else Finding.bad(name, told, fix)


def _keys(of: Manifest, server: Server, into: Path) -> str:
    """Every key that rows are under must have come along: those of the backup's day, and of today."""
    known, needed = read_secrets(into), rows.keys(server, keys.DATABASE)
    lacking = sorted({
        f"{name} {id}"
        for listed in (of.keys, needed)
        for name, ids in listed.items()
        for id in ids
        if name not in known or not Keyring.of(Secret(known[name])).find(id)
    })  # fmt: skip
    if lacking:
        raise CheckFailed(f"the backup lacks keys that its rows need: {', '.join(lacking)}")
    return f"{sum(map(len, needed.values()))} keys, by their fingerprints"


def _sealed(server: Server, into: Path) -> str:
    """Open a sample of each encrypted column with the keys that the backup itself brought along."""
    text = read_secrets(into).get("encryption_key")
    if text is None:
        raise CheckFailed("the backup holds no encryption_key: what is sealed is lost")
    ring = Keyring.of(Secret(text))
    opened = sum(_open(server, ring, column) for column in SEALED_COLUMNS)
    return f"{opened} values of {len(SEALED_COLUMNS)} columns opened"


def _open(server: Server, ring: Keyring, column: SealedColumn) -> int:
    value = f"settings->>'{column.path}'" if column.path else f"encode({column.column}, 'hex')"
    row = column.row or "''"
    sql = (
        f"SELECT tenant_id, {row}, {value} FROM {column.table}"  # noqa: S608 - names of our own registry
        f" WHERE {value} IS NOT NULL LIMIT {_SAMPLE}"
    )
    found = server.ask(sql, keys.DATABASE)
    for tenant, name, stored in found:
        sealed = column.sealed(stored if column.path else bytes.fromhex(stored))
        unseal(ring, sealed, column.place(UUID(tenant), name))
    return len(found)


def _throw_away(scratch: Path) -> None:
    if (scratch / "data" / "postgres").is_dir():
        Cluster(scratch / "data" / "postgres").destroy()
    shutil.rmtree(scratch, ignore_errors=True)


def _keep(installation: Installation, record: Record) -> None:
    """Sign it and put it where nobody changes it unseen: into the journal."""
    content = msgspec.json.encode(record).decode()
    signature = signing.sign(installation.identity, content.encode())
    about = f"{content} signed {signature}"
    journal.record(installation.data, VERB, about, "ok" if record.verdict == PASSED else "drill_failed")
    memory.remember(installation.state, drill_at=record.at, drill_verdict=record.verdict)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 1)
