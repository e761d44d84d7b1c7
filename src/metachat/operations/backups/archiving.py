"""The database's log, archived as it is written: Postgres hands segments over, and we send them away.

Postgres calls a small script that needs nothing of ours: it copies a finished segment, durably, into a spool
folder. Another process encrypts what lies there and sends it to the target.
"""

import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.settings import Secret
from metachat.operations.backups import streams
from metachat.operations.backups.contract import ObjectDamaged, Target, WalConflict
from metachat.operations.backups.native import give
from metachat.operations.local.folder import write
from metachat.operations.local.postgres import Cluster

ARCHIVE_SECONDS = 30

_SEGMENT = re.compile(r"[0-9A-F]{24}(\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")

# It must succeed on a segment that is archived already: after a crash Postgres hands it over again, and would
# stop archiving for good. It must fail while anything is not on disk: then Postgres keeps the segment.
SCRIPT = """\
#!/bin/sh
# Called by Postgres for each finished segment of its log: archive.sh PATH NAME SPOOL
from=$1 name=$2 spool=$3
if [ -e "$spool/$name" ]; then
  cmp -s "$from" "$spool/$name" && exit 0
  echo "metachat: $name is archived already, with other content" >&2
  exit 1
fi
dd if="$from" of="$spool/.$name.new" bs=1M conv=fsync status=none || { rm -f "$spool/.$name.new"; exit 1; }
mv "$spool/.$name.new" "$spool/$name" && sync "$spool"
"""


@dataclass(frozen=True, slots=True)
class Archived:
    """One segment of the log in the target."""

    name: str
    key: str
    sha256: str


def prepare(cluster: Cluster) -> dict[str, str]:
    """Write the script and make the spool of a database that `ensure` made; tells Postgres's settings."""
    script, folder = cluster.home / "archive.sh", spool(cluster)
    write(script, SCRIPT, 0o644)
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder)
    # Doubled for the quotes of postgresql.conf; paths of ours hold no quote of their own.
    command = f'/bin/sh "{script}" "%p" "%f" "{folder}"'.replace("'", "''")
    return {
        "archive_mode": "on",
        "archive_command": f"'{command}'",
        "archive_timeout": f"'{ARCHIVE_SECONDS}s'",
        # So that a full backup finds the log it began with, however long it takes.
        "wal_keep_size": "'1GB'",
    }


def spool(cluster: Cluster) -> Path:
    """The folder between Postgres and us."""
    return cluster.home / "spool"


def waiting(folder: Path) -> list[Path]:
    """What lies in the spool, in the order of the log."""
    return sorted(path for path in folder.iterdir() if _SEGMENT.fullmatch(path.name))


def ship(path: Path, target: Target, cluster: str, recipients: tuple[str, ...]) -> Archived:
    """Send one segment, unless it is there already, and take it out of the spool; raises WalConflict."""
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    there = [one for one in archived(target, cluster, path.name) if one.name == path.name]
    if any(one.sha256 != sha256 for one in there):
        raise WalConflict(
            f"{path.name} is archived already, with other content: two databases archive to one place.",
            "Give each installation a target of its own.",
        )
    key = f"{_folder(cluster)}{path.name[:16]}/{path.name}-{sha256}"
    if not there:
        stored = streams.store_bytes(zlib.compress(content, 1), target, key, recipients)
        key = stored.pieces[0].key
    path.unlink()
    return Archived(path.name, key, sha256)


def archived(target: Target, cluster: str, name: str) -> list[Archived]:
    """Name the archived segments that lie beside one: those of the same timeline and some 4 GB of log."""
    found = [_parse(kept.key) for kept in target.list(f"{_folder(cluster)}{name[:16]}/")]
    return [one for one in found if one is not None]


def everything(target: Target, cluster: str) -> list[Archived]:
    """Name all archived segments, in the order of the log."""
    found = [_parse(kept.key) for kept in target.list(_folder(cluster))]
    return sorted((one for one in found if one is not None), key=lambda one: one.name)


def fetch(one: Archived, target: Target, identity: Secret) -> bytes:
    """Read a segment back and prove it; raises ObjectDamaged, ObjectMissing, KeyMissing."""
    content = streams.open_piece(target.get(one.key), one.key, identity)
    try:
        plain = zlib.decompress(content)
    except zlib.error as error:
        raise ObjectDamaged(f"{one.key} is no segment.", "Restore to a time before it.") from error
    if hashlib.sha256(plain).hexdigest() != one.sha256:
        raise ObjectDamaged(f"{one.key} is not what was archived.", "Restore to a time before it.")
    return plain


def _folder(cluster: str) -> str:
    return f"wal/{cluster}/"


def _parse(key: str) -> Archived | None:
    name, _, rest = key.rpartition("/")[2].partition("-")
    sha256 = rest.partition(".")[0]
    return Archived(name, key, sha256) if _SEGMENT.fullmatch(name) and len(sha256) == 64 else None
