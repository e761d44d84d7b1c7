"""The command line: parses, calls one verb, prints."""

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metachat.foundation.errors import EXIT, Refusal


def main() -> None:
    """Run the command line."""
    # Imported here, since the children of `metachat up` do without it: with the parser come 20 MB.
    group = importlib.import_module("metachat.cli.group")
    with plain_refusals():
        group.app()


@contextmanager
def plain_refusals() -> Iterator[None]:
    """Turn a refusal into its sentence and an exit code of sysexits.h; names the data folder if need be."""
    os.environ.setdefault("METACHAT_DATA_DIR", str(default_data_dir()))
    try:
        yield
    except Refusal as refusal:
        print(f"metachat: {refusal.sentence}", file=sys.stderr)
        if refusal.detail:
            print(refusal.detail, file=sys.stderr)
        sys.exit(getattr(refusal, "exit_code", EXIT[refusal.kind]))


def default_data_dir() -> Path:
    """Tell where the data lies unless told otherwise: `var` in a checkout, else in the home folder."""
    checkout = Path(__file__).parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "migrations").is_dir():
        return checkout / "var"
    return Path.home() / ".local" / "share" / "metachat"
