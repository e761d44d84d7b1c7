"""The search itself: all rules over all lines, each finding once."""

import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from metachat.operations.leaks import git, kingfisher
from metachat.operations.leaks.judging import is_env_file, judge
from metachat.operations.leaks.model import Leak, fingerprint

Depth = Literal["tree", "history"]


def scan(path: Path, depth: Depth = "tree", known: Collection[str] = ()) -> list[Leak]:
    """Find what lies open below a path, in its history too if asked; `known` are fingerprints to pass over.

    Raises NothingToScan, NotARepository.
    """
    path = path.resolve()
    root = (git.top(path) or path) if path.is_dir() else path.parent
    found = [*_in_tree(path, root)]
    if depth == "history":
        found += _in_history(root)
    if path.is_dir():
        found += kingfisher.scan(path, "full" if depth == "history" else "none")
    return _once(leak for leak in found if leak.fingerprint not in known)


def _in_tree(path: Path, root: Path) -> Iterator[Leak]:
    kept = git.tracked(root)
    for file in git.files(path):
        name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
        yield from _about_file(file, name, name in kept)
        for source in git.lines(root, file):
            yield from judge(source)


def _in_history(root: Path) -> Iterator[Leak]:
    seen: set[str] = set()
    for source in git.history(root):
        if source.path not in seen and is_env_file(source.path):
            seen.add(source.path)
            yield _kept_in_git(source.path, source.commit)
        yield from judge(source)


def _kept_in_git(name: str, commit: str | None) -> Leak:
    return Leak(name, 0, commit, "env-file-tracked", "", fingerprint("env-file-tracked", name, name))


def _about_file(file: Path, name: str, tracked: bool) -> Iterator[Leak]:
    """A file that is made for secrets should be kept out of Git, and closed to others."""
    if not is_env_file(name):
        return
    if tracked:
        yield _kept_in_git(name, None)
    if stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield Leak(name, 0, None, "env-file-open", "", fingerprint("env-file-open", name, name))


def _once(leaks: Iterator[Leak]) -> list[Leak]:
    """One finding for each place; the rules of our own go before the scanner's."""
    best: dict[tuple[str, int, str | None], Leak] = {}
    several: dict[Leak, None] = {}
    for leak in leaks:
        place = (leak.path, leak.line, leak.commit)
        if leak.rule.startswith("kingfisher:") and place in best:
            continue
        best.setdefault(place, leak)
        several[leak] = None
    return sorted(several, key=lambda leak: (leak.path, leak.line, leak.commit or "", leak.rule))
