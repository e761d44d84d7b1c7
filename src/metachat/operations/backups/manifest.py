"""The list of what belongs to a backup: written last, signed, and readable without a key."""

from datetime import datetime

import msgspec

from metachat.foundation.settings import Secret
from metachat.operations.backups import signing
from metachat.operations.backups.contract import ManifestDamaged, NoBackup, ObjectMissing, Target
from metachat.operations.backups.streams import Stream

FORM = "metachat backup 1"
_NAME = "manifest.json"


class Counted(msgspec.Struct, frozen=True):
    """Rows of a table, before and after the database was read."""

    before: int
    after: int


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One backup. Sizes in bytes; `secrets` is an escrow bundle, `files` and `documents` are tar and JSON.

    `keys` are those that rows are sealed, hashed or signed with: the ids that each setting's ring must have.
    """

    form: str
    id: str
    cluster: str
    site: str
    began_at: datetime
    ended_at: datetime
    release: str
    migration: int
    postgres: int
    timeline: int
    first_wal: str
    codec: str
    size: int
    recipients: tuple[str, ...]
    key_fingerprints: dict[str, str]
    rows: dict[str, Counted]
    document_count: int
    document_bytes: int
    database: Stream
    secrets: Stream
    files: Stream
    documents: Stream
    keys: dict[str, tuple[str, ...]] = {}

    @property
    def stored(self) -> int:
        """The bytes that it alone takes in the target."""
        return sum(one.stored for one in (self.database, self.secrets, self.files, self.documents))


class _Signed(msgspec.Struct, frozen=True):
    manifest: Manifest
    signer: str
    signature: str


class Signed(msgspec.Struct, frozen=True):
    """A manifest that was read and proven, and by whose key."""

    manifest: Manifest
    signer: str


def prefix(cluster: str) -> str:
    """Where the backups of a database lie in the target."""
    return f"backups/{cluster}/"


def folder(cluster: str, id: str) -> str:
    """Where one backup lies."""
    return f"{prefix(cluster)}{id}"


def write(manifest: Manifest, target: Target, identity: Secret) -> None:
    """Sign it and put it into the target: from then on the backup exists."""
    signature = signing.sign(identity, _canonical(manifest))
    content = msgspec.json.encode(_Signed(manifest, signing.signer(identity), signature))
    target.put(f"{folder(manifest.cluster, manifest.id)}/{_NAME}", content)


def read(cluster: str, id: str, target: Target) -> Signed:
    """Read one; raises NoBackup, ManifestDamaged."""
    try:
        content = target.get(f"{folder(cluster, id)}/{_NAME}")
    except ObjectMissing as error:
        raise NoBackup(f"{target.address} has no backup {id}.", "See `metachat backup list`.") from error
    fix = "Use another backup; `metachat backup verify` tells which are whole."
    try:
        signed = msgspec.json.decode(content, type=_Signed)
    except msgspec.MsgspecError as error:
        raise ManifestDamaged(f"The manifest of {id} is cut short or no manifest: {error}.", fix) from error
    if signed.manifest.form != FORM or (signed.manifest.cluster, signed.manifest.id) != (cluster, id):
        raise ManifestDamaged(f"The manifest of {id} is another one's, or of another version.", fix)
    if not signing.holds(signed.signer, signed.signature, _canonical(signed.manifest)):
        raise ManifestDamaged(f"The manifest of {id} was altered: its signature does not hold.", fix)
    return Signed(signed.manifest, signed.signer)


def names(target: Target) -> list[tuple[str, str]]:
    """The finished backups of a target: cluster and id, the oldest first."""
    found = [
        (parts[1], parts[2])
        for kept in target.list("backups/")
        if len(parts := kept.key.split("/")) == 4 and parts[3] == _NAME
    ]
    return sorted(found, key=lambda one: one[1])


def key(cluster: str, id: str) -> str:
    """The object of a manifest."""
    return f"{folder(cluster, id)}/{_NAME}"


def _canonical(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest, order="sorted")
