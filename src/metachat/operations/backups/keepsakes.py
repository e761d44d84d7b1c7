"""The small things without which a restored database is of no use: keys, passwords, the journal, the site."""

import io
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from metachat.foundation.settings import SECRETS_FILE, Secret
from metachat.operations.backups import signing
from metachat.operations.local import homes
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import escrow
from metachat.operations.secrets import open_store as open_secrets
from metachat.operations.secrets.opening import Place
from metachat.operations.secrets.stores.file import FileStore

# The operator's own settings of Postgres, which lie beside its data.
CUSTOM = "custom.conf"

# Beside the data folder's own files, the site file may lie in it.
_FILES = (
    "version.json", "owner.txt", "journal.jsonl", "journal.head", "site.toml", "postgres/superuser.password",
    signing.FILE, CUSTOM,
)  # fmt: skip


def secrets_of(place: Place) -> escrow.Bundle:
    """Everything that the store of secrets keeps."""
    return escrow.gather(open_secrets(place))


def pack(data: Path, names: Iterable[str] = _FILES) -> bytes:
    """Put the small files into one tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            path = homes.find(data / "postgres") / name if name == CUSTOM else data / name
            if path.is_file():
                tar.add(path, name, recursive=False)
    return out.getvalue()


def contents(content: bytes) -> dict[str, bytes]:
    """Read the small files, by name."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {one.name: tar.extractfile(one) for one in tar.getmembers() if one.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def unpack(content: bytes, data: Path) -> None:
    """Write the small files, readable for us alone."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar.getmembers():
            member.mode, member.uid, member.gid = 0o600, -1, -1
            if member.name in _FILES and member.isfile():
                (data / member.name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                tar.extract(member, data, filter="data")
                (data / member.name).chmod(0o600)


def bring_back_custom(data: Path, cluster: Cluster) -> None:
    """Put the operator's settings of Postgres to their place; for a cluster at rest."""
    if (data / CUSTOM).is_file():
        shutil.move(data / CUSTOM, cluster.home / CUSTOM)
        (cluster.home / CUSTOM).chmod(0o644)


def bring_back_secrets(content: bytes, data: Path) -> int:
    """Put an escrow bundle's secrets into the data folder's own file; tells how many."""
    bundle = escrow.parse(content)
    kept = FileStore(data / SECRETS_FILE)
    for one in bundle.secrets:
        kept.put(one.name, one.value)
    return len(bundle.secrets)


def encryption_key(content: bytes) -> Secret | None:
    """The key that seals the database's columns, of an escrow bundle; None when it lacks one."""
    secrets = {one.name: one.value for one in escrow.parse(content).secrets}
    return secrets.get("encryption_key")
