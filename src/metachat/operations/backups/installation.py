"""What is backed up: the data folder of one installation, its database, its keys, and where backups go."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metachat.foundation.settings import Secret, Settings
from metachat.operations import age
from metachat.operations.backups import opening, signing
from metachat.operations.backups.contract import BackupRunning, NoTarget, Target
from metachat.operations.backups.database import Server
from metachat.operations.local.binaries import DEBIAN
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import Place, place_of

_LOCK = "backup.lock"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a phase is: bytes so far, and the part that is done, from 0 to 1."""

    phase: str
    size: int
    done: float


Told = Callable[[Progress], None]


def quietly(progress: Progress) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation; `site` is the name that a person types before it is overwritten."""

    data: Path
    site: str
    target: Target
    server: Server
    identity: Secret = field(repr=False)
    recipients: tuple[str, ...]
    secrets: Place
    blobs: Path
    spool: Path

    @property
    def state(self) -> Path:
        """The folder with what the archive remembers."""
        return self.data / "backups"


def find(settings: Settings, environ: Mapping[str, str]) -> Installation:
    """Describe the installation of these settings; raises NoTarget, KeyMissing."""
    data = settings.data_dir.absolute()
    identity = signing.ensure_identity(data)
    server, spool = _postgres(data)
    return Installation(
        data, site_name(settings), opening.of_settings(settings), server, identity,
        recipients(settings, identity), place_of(environ), data / "blobs", spool,
    )  # fmt: skip


def _postgres(data: Path) -> tuple[Server, Path]:
    """The data folder's own Postgres, else Debian's; and the folder where it leaves its log."""
    if not (data / "postgres").is_dir() and DEBIAN.is_dir():
        return Server.debian(), data / "spool"
    cluster = Cluster(data / "postgres")
    return Server.embedded(cluster), cluster.home / "spool"


def recipients(settings: Settings, identity: Secret) -> tuple[str, ...]:
    """Who can open the backups: this machine, and whoever the settings name; raises NoTarget."""
    return readers([settings.backup_recipients], identity)


def readers(texts: Iterable[str], identity: Secret) -> tuple[str, ...]:
    """This machine's public key, and those that these texts name; raises NoTarget."""
    named = " ".join(texts).replace(",", " ").split()
    for one in named:
        if age.recipient(one) is None:
            raise NoTarget(
                f"METACHAT_BACKUP_RECIPIENTS: {one!r} is no public age key.", "It begins with age1."
            )
    return tuple(dict.fromkeys([age.public(identity), *named]))


def site_name(settings: Settings) -> str:
    """What people call this installation: the host of its public address, or its data folder."""
    return settings.public_url.partition("://")[2].rstrip("/") or settings.data_dir.absolute().name


@contextlib.contextmanager
def alone(data: Path, name: str = _LOCK) -> Iterator[None]:
    """Let one process at a time make or remove backups; raises BackupRunning."""
    handle = os.open(data / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        fix = "Wait for it; `metachat backup status` tells how it went."
        raise BackupRunning(f"{data / name} is taken.", fix) from error
    finally:
        os.close(handle)
