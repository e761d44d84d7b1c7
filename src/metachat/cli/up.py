"""`metachat up`, `down` and `status`."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Annotated

import typer

from metachat.foundation import settings
from metachat.operations.local import folder, start, state
from metachat.operations.local.state import Measured, Status

Data = Annotated[Path | None, typer.Option("--data", help="The data folder.", show_default="var")]

DOWN_SECONDS = 60.0


def up(
    port: Annotated[int | None, typer.Option(help="The port to listen on.", show_default="8080")] = None,
    host: Annotated[
        str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")
    ] = None,
    data: Data = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of api processes.", show_default="one per core, at least 2")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Fill an empty platform with a demo shop.")
    ] = True,
) -> None:
    """Start everything: database, api processes and worker; Ctrl-C stops them."""
    given = {"PORT": port, "HOST": host, "DATA_DIR": data, "WORKERS": workers}
    told = {f"METACHAT_{name}": str(value) for name, value in given.items() if value is not None}
    loaded = settings.load({**os.environ, **told}, process="up")
    start.run(start.Up(loaded, "demo-seed" if demo else None), _say)


def down(data: Data = None) -> None:
    """Stop what `metachat up` started, and wait until nothing is left."""
    where = _data(data)
    pid = folder.holder(where)
    if pid is None:
        raise state.NothingRuns(str(where))
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_SECONDS
    while folder.holder(where) is not None:
        if time.monotonic() > deadline:
            raise state.StillRuns(f"process {pid} did not end within {DOWN_SECONDS:.0f} s")
        time.sleep(0.05)
    print(f"Stopped what ran on {where}.")


def status(
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Tell what runs, how well, and how much memory it takes; exits 69 when nothing runs."""
    where = _data(data)
    try:
        found = state.look(where)
    except state.NothingRuns:
        if as_json:
            print(json.dumps({"running": False, "data": str(where)}))
        raise
    print(json.dumps(found.as_json()) if as_json else _table(found))


def _data(given: Path | None) -> Path:
    return (given or settings.load(process="cli").data_dir).absolute()


def _say(line: str) -> None:
    print(line, flush=True)


def _table(found: Status) -> str:
    sums = found.as_json()["memory"]
    return "\n".join([
        f"Address  {found.address}",
        f"Health   {'ready' if found.healthy else 'NOT READY'} ({found.health})",
        f"Data     {found.data} ({_mebibytes(found.data_bytes)})",
        "",
        f"{'process':<12} {'pid':>8} {'memory':>10} {'its share':>10} {'up':>9} {'restarts':>9}",
        *(_row(process) for process in found.processes),
        f"{'sum':<12} {'':>8} {_mebibytes(sums['rss']):>10} {_mebibytes(sums['pss']):>10}",
    ])  # fmt: skip


def _row(process: Measured) -> str:
    pid = "restarting" if process.pid is None else str(process.pid)
    return (
        f"{process.name:<12} {pid:>8} {_mebibytes(process.rss):>10} {_mebibytes(process.pss):>10}"
        f" {process.uptime:>7.0f} s {process.restarts:>9}"
    )


def _mebibytes(count: int) -> str:
    return f"{count / 1024 / 1024:.1f} MiB"
