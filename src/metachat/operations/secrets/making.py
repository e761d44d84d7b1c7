"""All secrets that a new installation needs: made once, never overwritten."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets import identities
from metachat.operations.secrets.contract import SecretExists, Store, UnfitValue
from metachat.operations.secrets.known import DATABASES, MADE, make
from metachat.operations.secrets.stores.age import RECOVERY, AgeStore

SERVER = "server"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to make beside the keys.

    `database` is HOST[:PORT]/NAME of a Postgres that we don't start ourselves; `recovery` the public age key
    of the safe, or `recovery_file` where to make such a key. Each is empty or None when it is not wanted.
    """

    database: str = ""
    recovery: str = ""
    recovery_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """What was made and what was there, by name; `files` are new files that hold a private key."""

    made: list[str]
    kept: list[str]
    files: list[Path]


def generate(store: Store, wanted: Wanted) -> Generated:
    """Make what is missing; raises StoreRefusal."""
    files = _create(store, wanted) if isinstance(store, AgeStore) else []
    values = {name: make() for name in MADE}
    if wanted.database:
        values |= {name: _database(role, wanted.database) for name, role in DATABASES.items()}
    made: list[str] = []
    kept: list[str] = []
    for name, value in values.items():
        try:
            store.add(name, value)
        except SecretExists:
            kept.append(name)
        else:
            made.append(name)
    return Generated(made, kept, files)


def _create(store: AgeStore, wanted: Wanted) -> list[Path]:
    """Make the age file with its identities, when there is none yet; tells which files were made."""
    if store.path.exists():
        return []
    if not wanted.recovery and wanted.recovery_file is None:
        raise UnfitValue(
            "A new age file needs a recovery key, which is kept away from this machine.",
            "Give its public half with --recovery age1..., or let one be made with --recovery-file FILE.",
        )
    files: list[Path] = []
    recovery = wanted.recovery
    if wanted.recovery_file is not None:
        recovery = identities.make(wanted.recovery_file)
        files.append(wanted.recovery_file)
    if store.identity.exists():
        server = age.public(identities.load(store.identity))
    else:
        server = identities.make(store.identity)
        files.append(store.identity)
    store.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    store.create({SERVER: server, RECOVERY: identities.public(recovery)})
    return files


def _database(role: str, where: str) -> Secret:
    host, _, name = where.partition("/")
    if not host or not name:
        raise UnfitValue(f"{where} names no host and database.", "Write it as HOST[:PORT]/NAME.")
    return Secret(f"postgresql://{role}:{secrets.token_urlsafe(24)}@{host}/{quote(name)}")
