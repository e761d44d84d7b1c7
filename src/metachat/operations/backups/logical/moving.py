"""A data folder's own database, as the source or the goal of a move."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from metachat.foundation import key_records
from metachat.foundation.key_records import KeyringMismatch, Recorded
from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import SECRETS_FILE, Secret, read_secrets
from metachat.operations.backups.installation import Told
from metachat.operations.backups.logical import importing
from metachat.operations.backups.logical.form import Head, Tail
from metachat.operations.local import folder, keys, schema
from metachat.operations.local.postgres import Cluster, PostgresInUse
from metachat.operations.secrets import escrow
from metachat.operations.secrets.stores.file import FileStore


@contextlib.contextmanager
def running(data: Path) -> Iterator[str]:
    """The superuser's address of a folder's database: it is started when nothing runs on it."""
    cluster = Cluster(data / "postgres")
    address = cluster.superuser_dsn(keys.DATABASE)
    try:
        cluster.start()
    except PostgresInUse:
        yield address
        return
    try:
        yield address
    finally:
        cluster.stop()


def into_folder(data: Path, export: importing.Export, told: Told) -> Tail:
    """Make a folder's database and fill it; with the export's own keys where the folder has none.

    Raises NotEmptyThere, KeyringMismatch, FolderInUse, and what `import_into` raises.
    """
    head, bundle = importing.head_of(export), escrow.parse(importing.secrets_of(export))
    claim = folder.claim(data)
    try:
        _keys(data, head, bundle)
        cluster = Cluster(data / "postgres")
        cluster.ensure()
        cluster.start()
        try:
            keys.ensure(data, cluster)
            asyncio.run(schema.prepare(data, {}))
            return importing.import_into(cluster.superuser_dsn(keys.DATABASE), data / "blobs", export, told)
        finally:
            cluster.stop()
    finally:
        claim.release()


def _keys(data: Path, head: Head, bundle: escrow.Bundle) -> None:
    """Bring the keys along, or see that those which are here open what comes."""
    known = read_secrets(data)
    if not known:
        store = FileStore(data / SECRETS_FILE)
        for one in bundle.secrets:
            store.put(one.name, one.value)
        return
    rings = {name: Keyring.of(Secret(known[name])) for name in key_records.NAMES if name in known}
    records = [Recorded(one.name, one.id, one.state) for one in head.keys]
    if found := key_records.mismatches(rings, records):
        raise KeyringMismatch("\n".join(found))
