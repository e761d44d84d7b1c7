"""What lies in a work tree and in its history, line by line."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings.clean import without_secrets
from metachat.operations.leaks.model import Source

_LARGEST = 4 * 1024 * 1024
_SKIPPED = {".git", ".venv", ".uv", "node_modules", "__pycache__", ".hypothesis"}
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)")
_COMMIT = "commit:"


class NotARepository(Refusal):
    """There is no Git repository here, and so no history."""

    code, kind = "not_a_repository", Kind.INVALID


class NothingToScan(Refusal):
    """There is no such file or folder."""

    code, kind = "nothing_to_scan", Kind.NOT_FOUND


def top(path: Path) -> Path | None:
    """The repository that a path lies in; None when it lies in none."""
    folder = path if path.is_dir() else path.parent
    found = _run(folder, "rev-parse", "--show-toplevel")
    return Path(found.strip()) if found else None


def files(path: Path) -> list[Path]:
    """The files to look at: of a repository those that are tracked or could be, else all of them."""
    if not path.exists():
        raise NothingToScan(str(path))
    if path.is_file():
        return [path]
    listed = _run(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if listed is not None:
        found = [path / name for name in dict.fromkeys(listed.split("\0")) if name]
        return [file for file in found if file.is_file() and not file.is_symlink()]
    return [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file() and not file.is_symlink() and not _SKIPPED & set(file.relative_to(path).parts)
    ]


def tracked(path: Path) -> set[str]:
    """The names that Git keeps, below a path."""
    listed = _run(path if path.is_dir() else path.parent, "ls-files", "-z")
    return {name for name in (listed or "").split("\0") if name}


def lines(root: Path, file: Path) -> Iterator[Source]:
    """The lines of a file; what is no text, or very large, has none."""
    try:
        content = file.read_bytes() if file.stat().st_size <= _LARGEST else b"\0"
    except OSError:
        return
    if b"\0" in content[:8000]:
        return
    name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
    for number, text in enumerate(content.decode(errors="replace").splitlines(), 1):
        yield Source(name, number, text)


def history(root: Path) -> Iterator[Source]:
    """Every line that any commit added, deleted since or not; raises NotARepository."""
    if top(root) is None:
        raise NotARepository(str(root))
    process = subprocess.Popen(
        [_git(), "-c", "core.quotePath=false", "log", "--all", "--reflog", "-p", "-m", "-U0", "--no-color",
         "--no-ext-diff", "--no-textconv", "--no-renames", "--root", f"--format={_COMMIT}%H"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=without_secrets(),
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        yield from _added(line.decode(errors="replace").rstrip("\n") for line in process.stdout)


def _added(log: Iterator[str]) -> Iterator[Source]:
    commit, path, number, within = "", "", 0, False
    for line in log:
        if line.startswith(_COMMIT):
            commit, within = line.removeprefix(_COMMIT), False
        elif line.startswith("diff --git"):
            within = False
        elif not within and line.startswith("+++ "):
            path = line[4:].removeprefix("b/").split("\t")[0]
        elif hunk := _HUNK.match(line):
            number, within = int(hunk.group(1)), True
        elif within and line.startswith("+"):
            yield Source(path, number, line[1:].rstrip("\r"), commit)
            number += 1


def _run(folder: Path, *arguments: str) -> str | None:
    program = shutil.which("git")
    if program is None:
        return None
    ran = subprocess.run(
        [program, "-c", "core.quotePath=false", *arguments], cwd=folder, capture_output=True, check=False,
        env=without_secrets(),
    )  # fmt: skip
    return ran.stdout.decode(errors="replace") if ran.returncode == 0 else None


def _git() -> str:
    return shutil.which("git") or "git"
