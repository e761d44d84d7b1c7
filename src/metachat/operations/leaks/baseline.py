"""Findings that somebody has looked at and accepts, kept as fingerprints with their places."""

import json
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.leaks.model import Leak


class BaselineWrong(Refusal):
    """The baseline cannot be read."""

    code, kind = "baseline_wrong", Kind.INVALID


def read_baseline(file: Path) -> set[str]:
    """The fingerprints that a baseline holds; raises BaselineWrong."""
    try:
        told = json.loads(file.read_text())
        return {str(one["fingerprint"]) for one in told["accepted"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaselineWrong(f"{file}: {type(error).__name__}. Write one with --write-baseline.") from error


def write_baseline(file: Path, leaks: list[Leak]) -> None:
    """Accept all of these; the file holds no value and may be kept in Git."""
    accepted = [
        {"path": leak.path, "rule": leak.rule, "fingerprint": leak.fingerprint}
        for leak in {leak.fingerprint: leak for leak in leaks}.values()
    ]
    file.write_text(json.dumps({"accepted": accepted}, indent=2) + "\n")
