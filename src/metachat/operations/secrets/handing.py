"""How values reach processes: as files in memory that only they may read, named in $CREDENTIALS_DIRECTORY.

Nothing is put into the environment or the arguments of a process, so nothing is handed on to what it starts.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import CREDENTIALS, DECLARED, Secret
from metachat.foundation.settings.clean import without_secrets
from metachat.foundation.settings.sources import of_process
from metachat.operations.secrets.contract import fit_name, read_all
from metachat.operations.secrets.opening import Place, open_store, place_of

MEMORY = Path("/dev/shm")  # noqa: S108 - a file system in memory; the folder in it is made private, and checked

# Kept in the data folder in any case, where the command line of this machine finds it.
LOCAL = ("cli_token",)


class NotPrivate(Refusal):
    """The folder for secrets is not ours alone."""

    code, kind = "not_private", Kind.FORBIDDEN


class NotInMemory(Refusal):
    """The folder for secrets is not in memory, so that they would reach a disk."""

    code, kind = "not_in_memory", Kind.INVALID


def is_needed(environ: Mapping[str, str]) -> bool:
    """Whether a process has secrets from elsewhere than the data folder."""
    return bool(place_of(environ).address or _given(environ))


def hand(place: Place, folder: Path) -> list[str]:
    """Write what a process is given, and what its store has, as files; tells the names.

    The environment's own values come first, then systemd's credentials, then the store's.
    """
    values = {**(_stored(place) if place.address else {}), **_given(place.environ)}
    write(values, folder)
    return sorted(values)


def environment_with(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a process finds these files, and holds no secret itself."""
    return {**without_secrets(environ), CREDENTIALS: str(folder)}


def write(values: Mapping[str, Secret], folder: Path) -> None:
    """Make a folder that holds these secrets and no others; raises NotPrivate, NotInMemory."""
    make_private(folder)
    for name, value in values.items():
        new = folder / f".{fit_name(name)}.new"
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(value.reveal())
        new.replace(folder / name)
    for entry in list(os.scandir(folder)):
        if entry.name not in values:
            os.unlink(entry.path)


def renew(name: str, value: Secret, folder: Path) -> None:
    """Put another value where it was handed over; nothing happens where it was not."""
    if (folder / fit_name(name)).exists():
        present = {path.name: Secret(path.read_text()) for path in folder.iterdir()}
        write({**present, name: value}, folder)


def make_private(folder: Path) -> None:
    """Make a folder in memory that nobody else may enter; raises NotPrivate, NotInMemory."""
    if not in_memory(folder):
        raise NotInMemory(f"{folder}: choose one below {MEMORY} or /run.")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise NotPrivate(f"{folder} exists, and is not a folder of ours with mode 700. Remove it.")


def clear(folder: Path) -> None:
    """Take the files away again."""
    if folder.exists() and not folder.is_symlink():
        shutil.rmtree(folder)


def default_folder(data: Path) -> Path:
    """The folder of an installation, by its data folder and its account."""
    of = hashlib.sha256(os.fsencode(data.absolute())).hexdigest()[:12]
    return MEMORY / f"metachat-{os.geteuid()}-{of}"


def in_memory(folder: Path) -> bool:
    """Whether a folder lies, or would lie, in a file system that never reaches a disk (but for swap)."""
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    wanted = os.path.realpath(nearest)
    mounts = [line.split(" ")[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    over = [
        (point, kind)
        for point, kind in mounts
        if wanted == point or wanted.startswith(point.rstrip("/") + "/")
    ]
    return max(over, key=lambda one: len(one[0]), default=("", ""))[1] in ("tmpfs", "ramfs")


def _stored(place: Place) -> dict[str, Secret]:
    return {name: value for name, value in read_all(open_store(place)).items() if name not in LOCAL}


def _given(environ: Mapping[str, str]) -> dict[str, Secret]:
    gathered = of_process(environ)
    return {
        name: Secret(given.text)
        for name, given in gathered.values.items()
        # What lies in a file is read from there by whoever needs it.
        if DECLARED[name].secret and given.text and given.file is None
        if given.source.startswith(("environment", "credential"))
    }
