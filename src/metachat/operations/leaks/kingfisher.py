"""Known formats of tokens by the thousand, from the scanner kingfisher where it is installed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metachat.foundation.settings.clean import without_secrets
from metachat.operations.leaks.model import Leak

_SECONDS = 600
_LEFT_OUT = (".venv", ".uv", "node_modules", "var", "*_cache", ".hypothesis", ".git")
_EXCLUDED = [word for name in _LEFT_OUT for word in ("--exclude", name)]


def program() -> str | None:
    """Where the scanner is: beside this Python, or on the path; None when it is not installed."""
    beside = Path(sys.executable).parent / "kingfisher"
    return str(beside) if beside.exists() else shutil.which("kingfisher")


def scan(path: Path, depth: str) -> Iterator[Leak]:
    """Let it look through a folder; depth "full" takes the history along, "none" leaves it out."""
    scanner = program()
    if scanner is None:
        return
    ran = subprocess.run(
        [scanner, "scan", str(path), "--no-validate", "--no-update-check", "--redact", "--quiet", "--format",
         "jsonl", "--git-history", depth, *_EXCLUDED],
        capture_output=True, check=False, timeout=_SECONDS, env=without_secrets(),
    )  # fmt: skip
    for line in ran.stdout.decode(errors="replace").splitlines():
        if line.startswith("{") and (found := _leak(json.loads(line), path)) is not None:
            yield found


def _leak(told: dict[str, Any], root: Path) -> Leak | None:
    if "finding" not in told or "rule" not in told:
        return None
    finding, git = told["finding"], told["finding"].get("git_metadata") or {}
    path = Path(str(finding.get("path", "")))
    name = str(path.relative_to(root)) if path.is_absolute() and path.is_relative_to(root) else str(path)
    return Leak(
        path=name, line=int(finding.get("line") or 0), commit=(git.get("commit") or {}).get("id"),
        rule=f"kingfisher:{told['rule'].get('id', 'unknown')}", name="",
        fingerprint=str(finding.get("fingerprint", "")),
    )  # fmt: skip
