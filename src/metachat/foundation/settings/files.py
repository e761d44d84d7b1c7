"""Files that hold values: read whole and bounded, and looked after."""

import os
import shlex
import stat
from pathlib import Path

from metachat.foundation.settings.problems import Problem

_LARGEST = 1024 * 1024


def read(path: Path, name: str, problems: list[Problem]) -> bytes | None:
    """Read a file of at most a mebibyte; None, and a problem under this name, when that cannot be done."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISFIFO(mode):
                raise OSError(0, "it is no file")
            content = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        fix = f"Run: ls -ld {shlex.quote(str(path))}"
        problems.append(Problem(name, f"the file {path} cannot be read ({reason})", "a readable file", fix))
        return None
    if len(content) > _LARGEST:
        problems.append(
            Problem(name, f"the file {path} is too large", "at most 1 MiB", "Name the right file.")
        )
        return None
    return content


def exposed(path: Path, name: str = "") -> list[Problem]:
    """Tell when group or others may read a file, under this name or the path's own."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return []  # told where it is read
    if not mode & 0o077:
        return []
    fix = f"Run: chmod 600 {shlex.quote(str(path))} (or: metachat config fix-permissions)"
    said = (
        f"group or others may read {path} (mode {mode:o})" if name else f"others may read it (mode {mode:o})"
    )
    return [Problem(name or str(path), said, "mode 600", fix)]
