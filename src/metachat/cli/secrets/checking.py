"""`metachat secrets fingerprint` and `doctor`."""

import importlib
from dataclasses import asdict
from typing import Annotated

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson
from metachat.operations import journal
from metachat.operations.findings import Finding
from metachat.operations.secrets import doctor as checks
from metachat.operations.secrets import escrow
from metachat.operations.secrets.contract import read_all

FOUND_SOMETHING = 1


def fingerprint(as_json: AsJson = False) -> None:
    """Tell the fingerprints of the random keys, to compare with those of a backup or another server.

    Only of keys that metachat made: with that of a password that somebody chose, guesses could be checked.

    \b
    Examples:
      metachat secrets fingerprint
    """
    values = read_all(here.store())
    found = {
        name: shown for name, value in values.items() if (shown := escrow.shown_fingerprint(name, value))
    }
    here.show(
        found, as_json, lambda: here.table([[name, shown] for name, shown in found.items()] or [["none"]])
    )


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Look at the store alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the secrets, their store, and what is under them in the database.

    Opens every encrypted row. Exit code 1 when something is to be done.

    \b
    Examples:
      metachat secrets doctor
      metachat secrets doctor --offline --json
    """
    place = here.place()
    seen = checks.look(place)
    findings = [*checks.examine(seen), _journal_is_whole(journal.broken(place.data_dir))]
    if not offline and not seen.refusal:
        keys = importlib.import_module("metachat.operations.keys.checks")
        findings += keys.examine(keys.Installation(place, print))
    passed = all(finding.passed for finding in findings)

    def say() -> None:
        for one in findings:
            print(f"{'ok ' if one.passed else 'BAD'} {one.name}: {one.found}")
            if one.fix:
                print(f"    {one.fix}")

    here.show({"passed": passed, "findings": [asdict(one) for one in findings]}, as_json, say)
    if not passed:
        raise typer.Exit(FOUND_SOMETHING)


def _journal_is_whole(broken: str | None) -> Finding:
    if broken is None:
        return Finding.good("journal whole", "every entry follows from the one before it")
    return Finding.bad("journal whole", broken, "Find out who changed it; compare it with its last backup.")
