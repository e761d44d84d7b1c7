"""The command line: parses, calls one verb, prints."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from metachat.foundation import redaction
from metachat.foundation.errors import EXIT, Refusal


def main() -> None:
    """Run the command line."""
    redaction.die_discreetly()
    if sys.argv[1:2] == ["config"]:
        # Without the weight of the parser that the others share: a check must be quick.
        with plain_refusals():
            sys.exit(importlib.import_module("metachat.cli.config").run(sys.argv[2:]))
    # Imported here, since the children of `metachat up` do without it: with the parser come 20 MB.
    group = importlib.import_module("metachat.cli.group")
    with plain_refusals():
        group.app()


@contextmanager
def plain_refusals() -> Iterator[None]:
    """Turn a refusal into its sentence and an exit code of sysexits.h."""
    try:
        yield
    except Refusal as refusal:
        print(f"metachat: {refusal.sentence}", file=sys.stderr)
        if refusal.detail:
            print(redaction.clean(refusal.detail), file=sys.stderr)
        sys.exit(getattr(refusal, "exit_code", EXIT[refusal.kind]))
