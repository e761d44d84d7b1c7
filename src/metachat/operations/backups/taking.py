"""Making a backup: database, documents, secrets and small files, and the manifest last."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from metachat.foundation import clock, migrations
from metachat.foundation.errors import Refusal
from metachat.operations import journal
from metachat.operations.backups import documents, keepsakes, manifest, memory, rows, streams
from metachat.operations.backups.contract import BackupRefusal, BackupRunning, Facts
from metachat.operations.backups.installation import Installation, Progress, Told, alone, quietly
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.native import NativeEngine, best_codec
from metachat.operations.backups.streams import Stream
from metachat.operations.local import folder as data_folder
from metachat.operations.local import keys

VERB = "backup.now"


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is fixed when a backup begins."""

    at: datetime
    id: str
    facts: Facts
    codec: str
    first_wal: str

    @property
    def folder(self) -> str:
        return manifest.folder(self.facts.system_identifier, self.id)


def now(installation: Installation, told: Told = quietly) -> Manifest:
    """Back everything up and return what was kept; raises BackupRefusal, and then no backup exists."""
    with alone(installation.data):
        begun = _begin(installation)
        with journal.recorded(installation.data, VERB, begun.id):
            made = _take(installation, begun, told)
            manifest.write(made, installation.target, installation.identity)
            # Read back from where it will be needed: what cannot be read now was never a backup.
            manifest.read(made.cluster, made.id, installation.target)
    return made


def and_remember(installation: Installation, told: Told = quietly) -> Manifest:
    """As `now`, and tell `metachat backup status` and the metrics how it went."""
    try:
        made = now(installation, told)
    except BackupRunning:
        raise  # the other one tells
    except Refusal as refusal:
        memory.remember(installation.state, backup_failure=refusal.code)
        raise
    memory.remember(installation.state, backup_at=made.ended_at, backup_id=made.id, backup_failure="")
    return made


def _begin(installation: Installation) -> _Begun:
    at = clock.now()
    facts = NativeEngine(installation.server).facts()
    first = installation.server.one("SELECT pg_walfile_name(pg_current_wal_lsn())")
    return _Begun(at, f"{at:%Y%m%dT%H%M%S}Z", facts, best_codec(installation.server), first)


def _take(installation: Installation, begun: _Begun, told: Told) -> Manifest:
    to, who = installation.target, installation.recipients
    before = rows.count(installation.server, keys.DATABASE)
    # The database first: a document is stored before its row, so whatever a row in here names is there yet.
    database = _database(installation, begun, told)
    kept = _documents(installation, begun)
    after = rows.count(installation.server, keys.DATABASE)
    bundle = keepsakes.secrets_of(installation.secrets)
    told(Progress("secrets and small files", 0, 1))
    return Manifest(
        form=manifest.FORM, id=begun.id, cluster=begun.facts.system_identifier, site=installation.site,
        began_at=begun.at, ended_at=clock.now(), release=data_folder.version(),
        migration=migrations.newest(), postgres=begun.facts.postgres, timeline=begun.facts.timeline,
        first_wal=begun.first_wal, codec=begun.codec, size=begun.facts.size, recipients=who,
        key_fingerprints={one.name: one.fingerprint for one in bundle.secrets if one.fingerprint},
        rows=rows.side_by_side(before, after),
        document_count=len(kept), document_bytes=sum(one.stream.size for one in kept),
        database=database,
        secrets=streams.store_bytes(bundle.to_json(), to, f"{begun.folder}/secrets", who),
        files=streams.store_bytes(keepsakes.pack(installation.data), to, f"{begun.folder}/files", who),
        documents=streams.store_bytes(msgspec.json.encode(kept), to, f"{begun.folder}/documents", who),
        keys=rows.keys(installation.server, keys.DATABASE),
    )  # fmt: skip


def _database(installation: Installation, begun: _Begun, told: Told) -> Stream:
    reading = NativeEngine(installation.server).read(begun.codec)
    said = 0.0

    def tell(size: int) -> None:
        nonlocal said
        if time.monotonic() - said > 0.2:
            said = time.monotonic()
            told(Progress("database", size, reading.done()))

    try:
        stem = f"{begun.folder}/database"
        stream = streams.store(reading.stream, installation.target, stem, installation.recipients, tell)
        reading.finish()
    except BaseException:
        reading.abort()
        raise
    told(Progress("database", stream.size, 1))
    return stream


def _documents(installation: Installation, begun: _Begun) -> tuple[documents.Document, ...]:
    shelf = documents.shelf(begun.facts.system_identifier, installation.recipients)
    known = _known(installation, begun.facts.system_identifier)
    return documents.keep(installation.blobs, installation.target, shelf, installation.recipients, known)


def _known(installation: Installation, cluster: str) -> Mapping[str, documents.Document]:
    """The documents of the newest backup that can be read; none when there is none."""
    for of, id in reversed(manifest.names(installation.target)):
        if of != cluster:
            continue
        try:
            signed = manifest.read(cluster, id, installation.target)
            if signed.manifest.recipients != installation.recipients:
                return {}
            listed = documents.read(signed.manifest.documents, installation.target, installation.identity)
            return {documents.place(one.tenant, one.sha256): one for one in listed}
        except BackupRefusal:
            continue  # damaged: everything is stored anew rather than trusted
    return {}
