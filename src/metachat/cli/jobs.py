"""`metachat jobs`: what waits in the queue, and what was laid aside, of the whole platform."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from metachat.cli.client import connect
from metachat.foundation.errors import Invalid

app = typer.Typer(
    no_args_is_help=True, help="See what waits, and run again what failed.", rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_DEAD = 1


class NothingChosen(Invalid):
    """Say which job, or --all."""

    code = "nothing_chosen"


@app.command("list")
def list_jobs(as_json: AsJson = False) -> None:
    """List how many jobs of each kind wait, how many are due and for how long, and how many were laid aside.

    \b
    Examples:
      metachat jobs list
    """
    kinds = connect().call("GET", "/api/v1/operator/queue")["kinds"]
    if as_json:
        print(json.dumps(kinds))
        return
    print(f"{'kind':<18} {'waiting':>9} {'due':>9} {'oldest':>9} {'dead':>7}")
    for one in kinds:
        row = f"{one['waiting']:>9} {one['due']:>9} {_age(one['oldest']):>9} {one['dead']:>7}"
        print(f"{one['kind']:<18} {row}")


@app.command("dead")
def dead(as_json: AsJson = False) -> None:
    """List the jobs that were laid aside after many tries, oldest first; exit code 1 when there are any.

    \b
    Examples:
      metachat jobs dead --json
    """
    found = list(connect().pages("/api/v1/operator/dead-jobs"))
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(map(_line, found)) or "None.")
    if found:
        raise typer.Exit(_DEAD)


@app.command("replay")
def replay(
    id: Annotated[int | None, typer.Argument(help="A job's number, as listed.", min=1)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are laid aside now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put jobs that were laid aside back at the end of their lanes.

    \b
    Examples:
      metachat jobs replay 4711
      metachat jobs replay --all
    """
    if (id is None) is not everything:
        raise NothingChosen()
    client = connect()
    if id is not None:
        risen = client.call("POST", f"/api/v1/operator/dead-jobs/{id}/replay")["jobs"]
    else:
        risen = _replay_all()
    print(json.dumps({"jobs": risen}) if as_json else f"{risen} put back.")


def _replay_all() -> int:
    # What fails again meanwhile lies behind the last of these, and stays: this comes to an end.
    client, risen, left = connect(), 0, True
    last = max((job["id"] for job in client.pages("/api/v1/operator/dead-jobs")), default=0)
    while left and last:
        step = client.call("POST", f"/api/v1/operator/dead-jobs/replay?up_to={last}")
        risen, left = risen + step["jobs"], step["left"]
    return risen


def _line(job: dict[str, Any]) -> str:
    whose = job["tenant"] or "-"
    return f"{job['id']:>8}  {job['kind']:<14} {whose:<14} {_age(job['died_at']):>7} ago  {job['error']}"


def _age(moment: str | None) -> str:
    if moment is None:
        return "-"
    seconds = max(int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
