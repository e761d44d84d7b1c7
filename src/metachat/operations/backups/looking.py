"""What is there and how well it is: `backup list`, `verify` and `status`."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from metachat.foundation import clock
from metachat.operations.backups import archiving, documents, manifest, memory, streams
from metachat.operations.backups.contract import BackupRefusal, Target
from metachat.operations.backups.installation import Installation, Progress, Told, quietly
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.memory import Memory
from metachat.operations.findings import Finding

RPO = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Listed:
    """One backup of a target; manifest None where `trouble` says what is wrong with it."""

    cluster: str
    id: str
    manifest: Manifest | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """How backups stand: what the archive remembers, what waits, and what that means."""

    memory: Memory
    backlog: int
    findings: tuple[Finding, ...]


def backups(target: Target) -> Iterator[Listed]:
    """List the backups of a target, the newest first."""
    for cluster, id in reversed(manifest.names(target)):
        try:
            yield Listed(cluster, id, manifest.read(cluster, id, target).manifest)
        except BackupRefusal as refusal:
            yield Listed(cluster, id, None, refusal.found)


def verify(installation: Installation, id: str = "", told: Told = quietly) -> list[Finding]:
    """Read every piece of a backup, the newest unless told, and hold it against its manifest."""
    names = [one for one in manifest.names(installation.target) if id in ("", one[1])]
    if not names:
        return [Finding.bad("a backup is there", "there is none", "metachat backup now")]
    cluster, found = names[-1]
    try:
        one = manifest.read(cluster, found, installation.target).manifest
    except BackupRefusal as refusal:
        return [Finding.bad(f"manifest of {found}", refusal.found, refusal.fix)]
    good = Finding.good(f"manifest of {found}", "whole and signed")
    return [good, *(_whole(installation, name, of, told) for name, of in _parts(installation, one))]


def status(installation: Installation, every: timedelta, drills: timedelta | None) -> Status:
    """Tell how backups stand; raises nothing for what is wrong with them."""
    known = memory.recall(installation.state)
    folder = installation.spool
    waiting = len(archiving.waiting(folder)) if folder.is_dir() else 0
    free = shutil.disk_usage(installation.data).free
    now = clock.now()
    findings = [
        _canary(known, now), _archive(known, waiting, free), _backup(known, now, every), _keys(installation),
    ]  # fmt: skip
    if drills is not None:
        findings.append(_drill(known, now, drills))
    return Status(known, waiting, tuple(findings))


def _parts(installation: Installation, one: Manifest) -> Iterator[tuple[str, streams.Stream]]:
    yield "database", one.database
    yield "secrets", one.secrets
    yield "files", one.files
    yield "list of documents", one.documents
    try:
        for document in documents.read(one.documents, installation.target, installation.identity):
            yield f"document {document.tenant}/{document.sha256[:12]}", document.stream
    except BackupRefusal:
        return  # told by the list of documents itself


def _whole(installation: Installation, name: str, of: streams.Stream, told: Told) -> Finding:
    try:
        for _ in streams.pieces(
            of, installation.target, None, lambda size: told(Progress(name, size, size / max(1, of.stored)))
        ):
            pass
    except BackupRefusal as refusal:
        return Finding.bad(name, refusal.found, refusal.fix)
    return Finding.good(name, f"{of.stored:,} bytes as they were stored")


def _canary(known: Memory, now: datetime) -> Finding:
    name = "the newest canary is off-site"
    fix = "See whether `metachat up` runs, and what its log `archive.log` says."
    if known.canary_at is None:
        return Finding.bad(name, "none ever arrived", fix)
    age = now - known.canary_at
    # Written every half minute and closed at once: twice the promise means that nothing arrives.
    told = f"{age.total_seconds():.0f} s old; it took {known.canary_seconds or 0:.1f} s to arrive"
    return Finding.good(name, told) if age <= 2 * RPO else Finding.bad(name, told, fix)


def _archive(known: Memory, waiting: int, free: int) -> Finding:
    name = "the log is archived"
    told = f"{waiting} segments wait, {free / 2**30:.1f} GB of disk are left"
    if known.failure:
        found = f"failing since {known.failing_since} ({known.failure}); {told}"
        return Finding.bad(name, found, "Mend the target: the log waits on this disk until then.")
    return Finding.good(name, told)


def _backup(known: Memory, now: datetime, every: timedelta) -> Finding:
    name = "a full backup is fresh"
    if known.backup_failure:
        return Finding.bad(name, f"the last try failed: {known.backup_failure}", "metachat backup now")
    if known.backup_at is None:
        return Finding.bad(name, "there never was one", "metachat backup now")
    told = f"{known.backup_id}, {(now - known.backup_at).total_seconds() / 3600:.1f} hours old"
    late = now - known.backup_at > every + timedelta(hours=2)
    return Finding.bad(name, told, "metachat backup now") if late else Finding.good(name, told)


def _drill(known: Memory, now: datetime, drills: timedelta) -> Finding:
    name = "a restore was tried"
    if known.drill_at is None:
        return Finding.bad(
            name, "never: whether these backups can be restored is not known", "metachat backup drill"
        )
    told = f"{known.drill_verdict}, {(now - known.drill_at).days} days ago"
    fine = known.drill_verdict == "passed" and now - known.drill_at <= drills + timedelta(days=1)
    return Finding.good(name, told) if fine else Finding.bad(name, told, "metachat backup drill")


def _keys(installation: Installation) -> Finding:
    name = "somebody else can open the backups"
    others = len(installation.recipients) - 1
    if others:
        return Finding.good(name, f"{others} besides this machine")
    fix = "Set METACHAT_BACKUP_RECIPIENTS to the public key of the recovery key in the safe."
    return Finding.bad(name, "only this machine's backup.identity opens them", fix)
