"""Files with secrets, made readable for their owner only."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import DECLARED, SECRETS_FILE, data_dir, of_env_file, of_process

# What `metachat up` keeps in the data folder for its owner alone.
_OURS = (SECRETS_FILE, "cli.token", "owner.txt")


class NotChanged(Refusal):
    """The permissions of a file could not be changed."""

    code = "permissions_not_changed"
    kind = Kind.FORBIDDEN


def fix(env_file: Path | None) -> list[Path]:
    """Take the right to read from group and others, and name the files where that was needed.

    Raises NotChanged for a file that belongs to somebody else or lies where nothing can be changed.
    """
    changed: list[Path] = []
    refused: list[str] = []
    for path in dict.fromkeys(_holders(env_file)):
        try:
            if _close(path):
                changed.append(path)
        except OSError as error:
            refused.append(f"{path}: {error.strerror}")
    if refused:
        raise NotChanged("\n".join(refused))
    return changed


def _holders(env_file: Path | None) -> Iterator[Path]:
    gathered = of_process() if env_file is None else of_env_file(env_file)
    if env_file is None:
        yield from (data_dir() / name for name in _OURS)
    else:
        yield env_file
    yield from (
        given.file
        for name, given in gathered.values.items()
        if DECLARED[name].secret and given.file is not None
    )


def _close(path: Path) -> bool:
    """Set mode 600 on a file that gives more; by a descriptor, so that it is the one that was looked at."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or not mode & 0o077:
            return False
        os.fchmod(descriptor, 0o600)
        return True
    finally:
        os.close(descriptor)
