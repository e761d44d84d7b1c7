"""Which backups stay: one of each day, week and month; and what none of them needs any more is removed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from metachat.foundation import clock
from metachat.operations import journal
from metachat.operations.backups import archiving, documents, manifest
from metachat.operations.backups.contract import BackupRefusal, LastGoodBackup
from metachat.operations.backups.installation import Installation, alone
from metachat.operations.backups.manifest import Manifest

VERB = "backup.prune"

# Whoever makes a backup from elsewhere holds no lock of ours; nobody needs longer than this for one.
_UNFINISHED = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Keep:
    """How many to keep of each."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12

    @classmethod
    def of(cls, text: str) -> "Keep":
        """From the setting: `7 daily 4 weekly 12 monthly`; what it does not name is not kept."""
        found = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", text)}
        return cls(found.get("daily", 0), found.get("weekly", 0), found.get("monthly", 0))


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went: backups by their ids, and the numbers of other objects."""

    backups: tuple[str, ...]
    kept: tuple[str, ...]
    segments: int
    documents: int
    unfinished: int


def stays(backups: Sequence[Manifest], keep: Keep) -> list[Manifest]:
    """Choose what stays: the newest of each of the latest days, weeks and months that have one."""
    newest_first = sorted(backups, key=lambda one: one.id, reverse=True)
    chosen: dict[str, Manifest] = {}
    for count, period in (
        (keep.daily, "%Y-%m-%d"),
        (keep.weekly, "%G-%V"),
        (keep.monthly, "%Y-%m"),
    ):
        chosen |= _newest_of_each(newest_first, period, count)
    return sorted(chosen.values(), key=lambda one: one.id)


def prune(installation: Installation, keep: Keep) -> Pruned:
    """Remove what is not to stay; raises LastGoodBackup rather than leave none."""
    with alone(installation.data), journal.recorded(installation.data, VERB, installation.target.address):
        cluster = installation.server.one("SELECT system_identifier FROM pg_control_system()")
        good, damaged = _read_all(installation, cluster)
        kept = stays(good, keep)
        if good and not kept:
            raise LastGoodBackup(
                f"{good[-1].id} is the last good one.", "Keep at least one: METACHAT_BACKUP_KEEP."
            )
        # Damaged ones stay as long as no later one is good: they may be all there is.
        gone = [one.id for one in good if one not in kept]
        gone += [id for id in damaged if kept and id < kept[-1].id]
        for id in gone:
            _remove(installation, cluster, id)
        return Pruned(
            tuple(gone), tuple(one.id for one in kept), _segments(installation, cluster, kept),
            _documents(installation, cluster, kept), _unfinished(installation, cluster),
        )  # fmt: skip


def _newest_of_each(newest_first: Sequence[Manifest], period: str, count: int) -> dict[str, Manifest]:
    firsts: dict[str, Manifest] = {}
    for one in newest_first:
        firsts.setdefault(one.began_at.strftime(period), one)
    return {one.id: one for one in list(firsts.values())[:count]}


def _read_all(installation: Installation, cluster: str) -> tuple[list[Manifest], list[str]]:
    good: list[Manifest] = []
    damaged: list[str] = []
    for of, id in manifest.names(installation.target):
        if of == cluster:
            try:
                good.append(manifest.read(cluster, id, installation.target).manifest)
            except BackupRefusal as refusal:
                if refusal.code != "backup_manifest_damaged":
                    raise  # a store that does not answer is no reason to delete anything
                damaged.append(id)
    return good, damaged


def _remove(installation: Installation, cluster: str, id: str) -> None:
    # The manifest first: whatever interrupts us, no backup is left that looks whole and is not.
    installation.target.delete(manifest.key(cluster, id))
    for kept in list(installation.target.list(f"{manifest.folder(cluster, id)}/")):
        installation.target.delete(kept.key)


def _segments(installation: Installation, cluster: str, kept: Sequence[Manifest]) -> int:
    """Remove the log from before the oldest backup that stays: no restore begins there any more."""
    if not kept:
        return 0
    first = min(one.first_wal[8:] for one in kept)
    old = [
        one
        for one in archiving.everything(installation.target, cluster)
        # Histories are small, and needed to follow a timeline from its beginning.
        if not one.name.endswith(".history") and one.name[8:24] < first
    ]
    for one in old:
        installation.target.delete(one.key)
    return len(old)


def _documents(installation: Installation, cluster: str, kept: Sequence[Manifest]) -> int:
    """Remove the documents that no backup lists which stays."""
    if not kept:
        return 0
    needed = {
        piece.key
        for one in kept
        for document in documents.read(one.documents, installation.target, installation.identity)
        for piece in document.stream.pieces
    }
    before = clock.now() - _UNFINISHED
    there = installation.target.list(f"documents/{cluster}/")
    unneeded = [one.key for one in there if one.key not in needed and one.at < before]
    for key in unneeded:
        installation.target.delete(key)
    return len(unneeded)


def _unfinished(installation: Installation, cluster: str) -> int:
    """Remove what was left by backups that never got their manifest."""
    finished = {id for of, id in manifest.names(installation.target) if of == cluster}
    before = clock.now() - _UNFINISHED
    left = [
        one.key
        for one in installation.target.list(manifest.prefix(cluster))
        if one.key.split("/")[2] not in finished and one.at < before
    ]
    for key in left:
        installation.target.delete(key)
    return len(left)
