"""`metachat secrets rotate`: another value in place of a secret, while everything runs."""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from metachat.cli.secrets import here
from metachat.cli.secrets.here import AsJson, Name
from metachat.foundation.settings import data_dir
from metachat.operations import journal
from metachat.operations import site as sites
from metachat.operations.provisioning import furnishing
from metachat.operations.provisioning.arriving import Door
from metachat.operations.secrets import Place, known, open_store, rotation


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
    site: Annotated[
        Path | None, typer.Option(help="Site file: rotate what its servers use, with its own store.")
    ] = None,
    key: Annotated[Path, typer.Option(help="With --site: private SSH key that opens the servers.")] = Path(
        "~/.ssh/id_ed25519"
    ),
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
      metachat secrets rotate encryption_key --site site.toml     on the site's servers
    """
    known.find(name)
    place = here.place() if site is None else _place_of(site)
    if name not in (*rotation.IN_DATABASE, *known.DATABASES):
        with journal.recorded(place.data_dir, "secrets.rotate", name):
            told = rotation.rotate(open_store(place), name).told
        further = "" if site is None else " Run: metachat provision"
        here.show({"name": name, "told": told}, as_json, lambda: print(f"{told}{further}"))
        return
    # Imported here, since the driver of the database is heavy, and nobody else needs it.
    verbs = importlib.import_module("metachat.operations.keys.verbs")
    with _installation(place, site, key, wait) as there:
        if status:
            _tell_status(asyncio.run(verbs.status(there, name)), as_json)
            return
        with journal.recorded(place.data_dir, "secrets.rotate", name):
            how = verbs.how(resume=resume, retire=retire, now=now)
            told = asyncio.run(verbs.rotate(there, name, how))
    here.show({"name": name, "told": told}, as_json, lambda: print(told))


def _place_of(site: Path) -> Place:
    return furnishing.place(sites.read(site), site.absolute().parent, data_dir().absolute())


@contextlib.contextmanager
def _installation(place: Place, site: Path | None, key: Path, patience: float) -> Iterator[Any]:
    """This machine's installation, or the one on a site's servers."""
    if site is None:
        verbs = importlib.import_module("metachat.operations.keys.verbs")
        yield verbs.Installation(place, _say, patience)
        return
    afar = importlib.import_module("metachat.operations.keys.afar")
    told, door = sites.read(site), Door(key.expanduser().absolute(), place.data_dir / "known_hosts")
    with afar.relayed(told, door) as relays:
        there = afar.OnServers(place, _say, patience, site=told, door=door, relays=relays)
        yield there
        there.settle()


def _tell_status(found: dict[str, Any], as_json: bool) -> None:
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
