"""`metachat up` and `down`."""

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from metachat.foundation import settings
from metachat.operations.local import folder, state

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
    """Start everything: database, api processes and worker; Ctrl-C stops them.

    \b
    Examples:
      metachat up
      metachat up --port 9000 --data /srv/metachat --no-demo
    """
    given = {"PORT": port, "HOST": host, "DATA_DIR": data, "WORKERS": workers}
    told = {f"METACHAT_{name}": str(value) for name, value in given.items() if value is not None}
    # In place of this process, which carries the command line's parser: what runs for months is small.
    argv = [sys.executable, "-m", "metachat.cli.child", "supervise", "demo" if demo else "empty"]
    os.execve(sys.executable, argv, {**os.environ, **told})  # noqa: S606


def down(data: Data = None) -> None:
    """Stop what `metachat up` started, and wait until nothing is left."""
    where = data_folder(data)
    pid = folder.holder(where)
    if pid is None:
        raise state.NothingRuns(str(where))
    deadline = time.monotonic() + DOWN_SECONDS
    if not _ended(pid, DOWN_SECONDS):
        raise state.StillRuns(f"process {pid} did not end within {DOWN_SECONDS:.0f} s")
    while folder.holder(where) is not None:
        if time.monotonic() > deadline:
            raise state.StillRuns(f"what process {pid} started did not end within {DOWN_SECONDS:.0f} s")
        time.sleep(0.05)
    print(f"Stopped what ran on {where}.")


def _ended(pid: int, seconds: float) -> bool:
    """Ask a process to end, and tell whether it did in time; its folder is unlocked a moment before."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGTERM)
        return bool(select.select([process], [], [], seconds)[0])
    finally:
        os.close(process)


def data_folder(given: Path | None) -> Path:
    """Tell which data folder is meant: the given one, or that of the settings."""
    return (given or settings.load(process="cli").data_dir).absolute()
