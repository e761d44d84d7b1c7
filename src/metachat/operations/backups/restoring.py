"""From a target alone to a data folder that `metachat up` starts."""

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from metachat.foundation import clock
from metachat.foundation.settings import Secret
from metachat.operations import journal
from metachat.operations.backups import (
    canary,
    claiming,
    documents,
    keepsakes,
    manifest,
    proving,
    signing,
    streams,
)
from metachat.operations.backups.contract import (
    BackupRefusal,
    ManifestDamaged,
    NoBackup,
    NotEmpty,
    NotThatFar,
    ProgramFailed,
    Target,
    TargetFull,
)
from metachat.operations.backups.database import Server
from metachat.operations.backups.feeding import Feed
from metachat.operations.backups.installation import Progress, Told, quietly
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.native import give, unpack
from metachat.operations.local import binaries, homes
from metachat.operations.local.postgres import Cluster, PostgresFailed

VERB = "restore"
RECOVERY_SECONDS = 4 * 3600.0

_MARK = ".restoring"
_ENDING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where to restore from, and with which key; `signer`: whose signature is asked for, or empty."""

    target: Target
    identity: Secret = field(repr=False)
    signer: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which state: the newest there is, unless told a time or a backup; spare: bytes of disk to leave."""

    at: datetime | None = None
    backup: str = ""
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back; `newest` is the time of the newest canary row in it, None when it has none."""

    manifest: Manifest
    signer: str
    newest: datetime | None
    segments: int


def restore(source: Source, into: Path, wanted: Wanted, told: Told = quietly) -> Restored:
    """Make a data folder from a backup and the log after it; goes on where an earlier try was cut.

    Raises NotEmpty, NoBackup, NotThatFar, KeyMissing, ObjectDamaged, ObjectMissing, ManifestDamaged.
    """
    chosen = choose(source, wanted)
    of = chosen.manifest
    cache = _begin(into, of)
    check_space(into, of, wanted.spare)
    with journal.recorded(into, VERB, f"{of.id} from {source.target.address}"):
        _small(source, of, into)
        cluster = Cluster(into / "postgres")
        _database(source, of, cluster, cache, told)
        segments = _recover(source, of, cluster, wanted, told)
        claiming.claim(cluster)
        newest = _look(cluster)
        keepsakes.bring_back_custom(into, cluster)
        _documents(source, of, into, told)
    shutil.rmtree(cache)
    return Restored(of, chosen.signer, newest, segments)


def choose(source: Source, wanted: Wanted) -> manifest.Signed:
    """Find the backup to begin with: the newest that ended before the wanted time, and is whole."""
    names = [one for one in manifest.names(source.target) if wanted.backup in ("", one[1])]
    refusal: BackupRefusal = NoBackup(
        f"{source.target.address} has no backup {wanted.backup or 'at all'}.", "See `metachat backup list`."
    )
    for cluster, id in reversed(names):
        try:
            found = manifest.read(cluster, id, source.target)
        except ManifestDamaged as damaged:
            refusal = damaged
            continue
        if source.signer and found.signer != source.signer:
            fix = "If it is right, name its signer with --signer."
            refusal = ManifestDamaged(f"{id} was signed by {found.signer}, not by this installation.", fix)
        elif wanted.at is not None and found.manifest.ended_at > wanted.at:
            refusal = NoBackup(f"No backup ended before {wanted.at}.", "See `metachat backup list`.")
        else:
            return found
    raise refusal


def check_space(into: Path, of: Manifest, spare: int = 0) -> None:
    """Refuse where the disk would not suffice; raises TargetFull."""
    # The database, its pieces until it is unpacked, the documents, and some log.
    needed = of.size + of.database.stored + of.document_bytes + 512 * 1024 * 1024 + spare
    places = [into, binaries.ROOT_HOME] if os.geteuid() == 0 and binaries.ROOT_HOME.exists() else [into]
    for place in places:
        free = shutil.disk_usage(place).free
        if free < needed:
            raise TargetFull(
                f"{place} has {free:,} bytes free; {needed:,} are needed.", "Choose another disk."
            )


def _begin(into: Path, of: Manifest) -> Path:
    """Make the folder, or take up the restore that was cut in it; raises NotEmpty."""
    cache = into / _MARK
    if into.exists() and any(into.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if (cache / "backup").read_text() == of.id:
                return cache
        raise NotEmpty(f"{into} holds something.", "Name a folder that does not exist yet.")
    cache.mkdir(mode=0o700, parents=True)
    (cache / "backup").write_text(of.id)
    return cache


def _small(source: Source, of: Manifest, into: Path) -> None:
    keepsakes.unpack(streams.load_bytes(of.files, source.target, source.identity), into)
    keepsakes.bring_back_secrets(streams.load_bytes(of.secrets, source.target, source.identity), into)


def _database(source: Source, of: Manifest, cluster: Cluster, cache: Path, told: Told) -> None:
    """Unpack the data directory and hold every file of it against the checksums of its own manifest."""
    if of.postgres != binaries.major():
        raise ProgramFailed(
            f"The backup is of Postgres {of.postgres}; this is {binaries.major()}.",
            "Export it where it runs with `metachat data export`, and import it here.",
        )
    cluster.folder.mkdir(mode=0o700, exist_ok=True)
    homes.ensure(cluster.folder, binaries.runner())
    _clear(cluster.data)
    cluster.data.mkdir(mode=0o700)
    give(cluster.data)

    def tell(size: int) -> None:
        told(Progress("database", size, size / max(1, of.database.stored)))

    with _decrypted(source, of, cache, tell) as stream:
        unpack(stream, of.codec, cluster.data)
    _verify(of, cluster, told)


def _clear(data: Path) -> None:
    """Remove what an earlier try left, whose programs may still be ending; raises ProgramFailed."""
    deadline = time.monotonic() + _ENDING_SECONDS
    while data.exists():
        shutil.rmtree(data, ignore_errors=True)
        if time.monotonic() > deadline:
            raise ProgramFailed(f"{data} cannot be removed.", "See which program still writes there.")
        time.sleep(0.05)


@contextlib.contextmanager
def _decrypted(source: Source, of: Manifest, cache: Path, tell: object) -> Iterator[IO[bytes]]:
    """The tar file of the database, through a pipe; what went wrong on the way is raised at the end."""
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def pump() -> None:
        try:
            with os.fdopen(writing, "wb") as out:
                streams.load(of.database, source.target, source.identity, out, cache, tell)  # type: ignore[arg-type]
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        with os.fdopen(reading, "rb") as stream:
            yield stream
    except ProgramFailed:
        thread.join()
        refused = [one for one in failures if isinstance(one, BackupRefusal)]
        if refused:
            raise refused[0] from None
        raise
    thread.join()
    if failures:
        raise failures[0]


def _verify(of: Manifest, cluster: Cluster, told: Told) -> None:
    proving.prove(
        cluster.data, lambda size: told(Progress("checksums", size, min(1, size / max(1, of.size))))
    )
    told(Progress("checksums", of.size, 1))


def _recover(source: Source, of: Manifest, cluster: Cluster, wanted: Wanted, told: Told) -> int:
    """Let Postgres read the log after the backup; tells how many segments it took."""
    told(Progress("log", 0, 0))
    feed = Feed(cluster.home, source.target, of.cluster, source.identity)
    settings = {
        "restore_command": feed.command, "hot_standby": "off", "archive_mode": "off",
        "recovery_target_timeline": "'latest'", "recovery_target_action": "'promote'",
    }  # fmt: skip
    if wanted.at is not None:
        settings["recovery_target_time"] = f"'{wanted.at.isoformat()}'"
    signal = cluster.data / "recovery.signal"
    signal.touch(mode=0o600)
    give(signal)
    recovering = Cluster(cluster.folder, settings=settings)
    with feed.open():
        try:
            recovering.start(timeout=RECOVERY_SECONDS)
        except PostgresFailed as failure:
            raise _why(failure, feed, wanted) from failure
        finally:
            recovering.stop()
    told(Progress("log", feed.fed, 1))
    return feed.fed


def _why(failure: PostgresFailed, feed: Feed, wanted: Wanted) -> BackupRefusal:
    if isinstance(feed.failure, BackupRefusal):
        return feed.failure
    if "before configured recovery target was reached" in (failure.detail or ""):
        return NotThatFar(
            f"The archived log ends before {wanted.at}.", "Leave --at out, or name an earlier time."
        )
    return ProgramFailed(failure.detail or failure.sentence, "See its log.")


def _look(cluster: Cluster) -> datetime | None:
    """Start it once as it will be started, and read its newest canary."""
    plain = Cluster(cluster.folder)
    plain.start()
    try:
        found = canary.newest(Server.embedded(plain))
    finally:
        plain.stop()
    return None if found is None else found.at


def _documents(source: Source, of: Manifest, into: Path, told: Told) -> None:
    listed = documents.read(of.documents, source.target, source.identity)
    for number, one in enumerate(listed, start=1):
        documents.bring_back(one, source.target, source.identity, into / "blobs")
        told(Progress("documents", number, number / len(listed)))


def swap(data: Path, made: Path) -> Path:
    """Put a restored folder in the place of the old one, which stays beside it; tells where."""
    aside = data.with_name(f"{data.name}.before-{clock.now():%Y%m%dT%H%M%S}")
    if data.exists():
        data.rename(aside)
    made.rename(data)
    return aside


def of_installation(target: Target, data: Path, identity: Path | None, signer: str) -> Source:
    """What this machine restores from: its own key and its own signature, unless told others."""
    key = signing.load_identity(identity or data / signing.FILE)
    own = data / signing.FILE
    known = signer or (signing.signer(signing.load_identity(own)) if own.exists() else "")
    return Source(target, key, known)
