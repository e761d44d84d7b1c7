"""`metachat secrets rotate`: another value in place of a secret, while everything runs."""

import asyncio
import importlib
import sys
from typing import Annotated, Any

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson, Name
from metachat.operations import journal
from metachat.operations.secrets import Place, known, rotation


def rotate_secret(
    name: Name,
    status: Annotated[bool, typer.Option("--status", help="Only tell how its rotation stands.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a rotation that was begun; begin none.")
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="End the time in which the old key is still accepted.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="With --retire: before that time is over.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for processes that start anew.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Replace a secret by a new one, while everything runs, by the procedure that its use asks for.

    What is sealed, hashed or signed with the old one goes on to work. Whatever ends it, run it again.

    \b
    Examples:
      metachat secrets rotate encryption_key
      metachat secrets rotate api_key_pepper --status
      metachat secrets rotate api_key_pepper --retire
      metachat secrets rotate database_url
    """
    known.find(name)
    place = here.place()
    if status:
        _status(place, name, as_json)
        return
    with journal.recorded(place.data_dir, "secrets.rotate", name):
        if name in (*rotation.IN_DATABASE, *known.DATABASES):
            # Imported here, since the driver of the database is heavy, and nobody else needs it.
            verbs = importlib.import_module("metachat.operations.keys.verbs")
            how = verbs.how(resume=resume, retire=retire, now=now)
            told = asyncio.run(verbs.rotate(verbs.Installation(place, _say, wait), name, how))
        else:
            told = rotation.rotate(here.store(), name).told
    here.show({"name": name, "told": told}, as_json, lambda: print(told))


def _status(place: Place, name: str, as_json: bool) -> None:
    verbs = importlib.import_module("metachat.operations.keys.verbs")
    found = asyncio.run(verbs.status(verbs.Installation(place, _say), name))

    def say() -> None:
        rows = [[one["id"], one["state"], one["since"], _progress(one)] for one in found["keys"]]
        here.table([["key", "state", "since", "rows moved"], *rows])
        for one in found["processes"]:
            print(f"{one['process']} holds {', '.join(one['holds'])}")
        for key in found["unused_api_keys"]:
            print(f"API key {key['id']} ({key['name']}, ...{key['ends_in']}) was not used since")

    here.show(found, as_json, say)


def _progress(key: dict[str, Any]) -> str:
    return "-" if key["rows_total"] is None else f"{key['rows_done']} of {key['rows_total']}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
