"""`metachat watch` and `uptime`."""

import json
import os
import re
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from metachat.cli.up import Data, data_folder
from metachat.foundation import settings
from metachat.foundation.errors import Invalid
from metachat.operations.watching import ledger
from metachat.operations.watching.uptime import Day, Uptime, days
from metachat.operations.watching.uptime import uptime as added_up

_MOST_DAYS = 92
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


class NotATime(Invalid):
    """A time is written like 24h, 30d or 2026-11-24T12:00."""

    code = "not_a_time"


def watch(
    address: Annotated[
        str | None, typer.Option(help="The site.", show_default="that of the settings")
    ] = None,
    channel: Annotated[str, typer.Option(help="The web chat that the question is asked through.")] = "",
    question: Annotated[
        str, typer.Option(help="A question that your documents answer.")
    ] = "How long does delivery take?",
    expect: Annotated[str, typer.Option(help="A word that a true answer has.")] = "",
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between two looks.")] = 30,
    question_every: Annotated[float, typer.Option(min=1, help="Seconds between two questions.")] = 300,
    heartbeat_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port for Alertmanager's sign of life; 0 for none.")
    ] = 0,
    heartbeat_within: Annotated[float, typer.Option(min=1, help="Seconds it may be silent.")] = 300,
    alerts: Annotated[
        str,
        typer.Option(help="The file that names who hears.", show_default="alerts.toml of the data folder"),
    ] = "",
    runbooks: Annotated[str, typer.Option(help="Where the runbooks are served, for links.")] = "",
    data: Data = None,
) -> None:
    """Watch a site from outside, write down what is found, and tell people; runs on any machine.

    \b
    Examples:
      metachat watch --channel 0198d1f2-... --expect days
      metachat watch --address https://chat.example.com --heartbeat-port 9099
    """
    where = data_folder(data)
    told = {
        "address": (address or settings.load(process="cli").address).rstrip("/"), "channel": channel,
        "question": question, "expect": expect, "every": every, "question_every": question_every,
        "heartbeat_port": heartbeat_port, "heartbeat_within": heartbeat_within, "alerts": alerts,
        "runbooks": runbooks, "data": str(where),
    }  # fmt: skip
    argv = [sys.executable, "-m", "metachat.operations.watching", json.dumps(told)]
    os.execve(sys.executable, argv, dict(os.environ))  # noqa: S606


def uptime(
    since: Annotated[str, typer.Option(help="Like 24h, 30d or 2026-11-24T12:00 (UTC).")] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
    data: Data = None,
) -> None:
    """Tell how much of the time the site was up, from what `metachat watch` wrote down.

    \b
    Examples:
      metachat uptime --since 30d
    """
    path, now = data_folder(data) / ledger.FILE, time.time()
    moment = _moment(since, now)
    found, torn = added_up(ledger.entries(path), moment, now), ledger.broken(path)
    if as_json:
        told = {**asdict(found), "unwatched": found.unwatched, "ratio": found.ratio, "broken": torn}
        print(json.dumps({**told, "ledger": str(path)}))
        return
    print("\n".join(_told(found, path, torn)))
    if found.ratio is not None and 0 < now - moment <= _MOST_DAYS * _UNITS["d"]:
        print("\n" + "\n".join(_drawn(days(ledger.entries(path), moment, now))))


def _told(found: Uptime, path: Path, torn: str | None) -> list[str]:
    if found.ratio is None:
        return [f"no measurements since {_written(found.since)}; `metachat watch` makes them ({path})"]
    return [
        f"up {found.ratio:.3%} of the {found.watched / 3600:.1f} h that were watched"
        f" ({found.rounds} looks since {_written(found.since)})",
        f"no measurements for {found.unwatched / 3600:.1f} h",
        *(
            f"DOWN {_written(one.began)} for {one.ended - one.began:.0f} s: {one.probe}: {one.said}"
            for one in found.outages
        ),
        *(
            []
            if (first := ledger.trimmed(path)) is None
            else [f"older measurements were taken off: the ledger begins {_written(first)}"]
        ),
        f"evidence: {path}, {'its chain is whole' if torn is None else f'BROKEN: {torn}'}",
    ]


def _drawn(told: list[Day]) -> list[str]:
    head = "".join(f"{hour:<6}" for hour in (0, 6, 12, 18))
    return [
        f"{'UTC':<11}{head}",
        *(f"{one.name} {one.hours}" for one in told),
        "# up  x down  . no measurements",
    ]


def _moment(since: str, now: float) -> float:
    if (found := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", since)) is not None:
        return now - int(found[1]) * _UNITS[found[2]]
    try:
        return datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise NotATime(since) from error


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
