"""`metachat restore`: bring a backup back, beside what is there or in its place."""

import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from metachat.cli.asking import asked
from metachat.cli.bar import Bar
from metachat.cli.secrets.here import AsJson, show
from metachat.cli.up import DOWN_SECONDS, Data, data_folder
from metachat.foundation import settings
from metachat.foundation.errors import Invalid
from metachat.operations import journal
from metachat.operations.backups import installation, opening, restoring
from metachat.operations.backups.restoring import Restored, Source, Wanted
from metachat.operations.local import folder, state


class NotConfirmed(Invalid):
    """Nothing was changed: the name of the site was not given."""

    code = "not_confirmed"


class NotATime(Invalid):
    """This is no time."""

    code = "not_a_time"


def restore(
    to: Annotated[Path | None, typer.Option(help="A folder that does not exist yet.")] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Replace the data folder; the old one stays beside it.")
    ] = False,
    at: Annotated[
        str, typer.Option(help="The state of a time: 2026-11-24T09:30:00+01:00.", show_default="the newest")
    ] = "",
    backup: Annotated[str, typer.Option(help="Begin with this backup.", show_default="the fitting one")] = "",
    identity: Annotated[
        Path | None, typer.Option(help="The key that opens it.", show_default="this installation's")
    ] = None,
    signer: Annotated[
        str, typer.Option(help="Whose signature it must bear.", show_default="this installation's")
    ] = "",
    confirm: Annotated[
        str, typer.Option(help="With --in-place: the site's name, in place of typing it.", show_default=False)
    ] = "",
    data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Restore a backup and the log after it into a folder that `metachat up --data` starts.

    \b
    Examples:
      metachat restore --to /srv/looked-at
      metachat restore --to /srv/before --at 2026-11-24T09:30:00+01:00
      metachat restore --to /srv/metachat --identity recovery.key
      metachat restore --in-place
    """
    if (to is None) != in_place:
        raise NotConfirmed("Give --to FOLDER or --in-place.")
    where = data_folder(data)
    loaded = settings.load({**os.environ, "METACHAT_DATA_DIR": str(where)}, process="cli")
    source = restoring.of_installation(opening.of_settings(loaded), where, identity, signer)
    wanted = Wanted(_time(at), backup)
    if to is not None:
        restored = _into(source, to.absolute(), wanted)
        aside = None
    else:
        restored, aside = _in_place(source, where, wanted, installation.site_name(loaded), confirm)
    _tell(restored, to or where, aside, as_json)


def _into(source: Source, to: Path, wanted: Wanted) -> Restored:
    with Bar() as told:
        return restoring.restore(source, to, wanted, told)


def _in_place(source: Source, data: Path, wanted: Wanted, site: str, confirm: str) -> tuple[Restored, Path]:
    """Restore beside, and swap only when that has ended well."""
    given = confirm or asked(f"This replaces {data}. Type the name of the site ({site}) to go on")
    if given != site:
        raise NotConfirmed(f"{given!r} is not {site!r}.")
    # Whatever is written from here on would be lost.
    _stop(data)
    chosen = restoring.choose(source, wanted)
    beside = data.with_name(f"{data.name}.restoring-{chosen.manifest.id}")
    restored = _into(source, beside, wanted)
    aside = restoring.swap(data, beside)
    journal.record(data, "restore.in-place", f"{restored.manifest.id}; the old one is {aside}")
    return restored, aside


def _stop(data: Path) -> None:
    pid = folder.holder(data) if data.exists() else None
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while folder.holder(data) is not None:
        if time.monotonic() > deadline:
            raise state.StillRuns(f"process {pid} did not end within {DOWN_SECONDS:.0f} s")
        time.sleep(0.05)


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotATime(f"{text!r}: write it as 2026-11-24T09:30:00+01:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tell(restored: Restored, where: Path, aside: Path | None, as_json: bool) -> None:
    of = restored.manifest
    result = {
        "backup": of.id, "folder": where, "signer": restored.signer, "newest": restored.newest,
        "segments": restored.segments, "old": aside, "release": of.release,
    }  # fmt: skip

    def say() -> None:
        newest = restored.newest.isoformat(timespec="seconds") if restored.newest else "unknown"
        print(f"Restored backup {of.id} and {restored.segments} segments of log into {where}.")
        print(f"  Newest sign of life in it  {newest}")
        print(f"  Signed by                  {restored.signer}")
        if aside is not None:
            print(f"  The old data               {aside}")
        print(f"  Start it                   metachat up --data {where}")

    show(result, as_json, say)
