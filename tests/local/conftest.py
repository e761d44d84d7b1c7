"""A platform started the way a user starts it: `metachat up`, as a process of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests import commands

from metachat.operations.local.postgres import Cluster
from metachat.operations.local.state import Running, read

PATIENCE = 90


def free_port() -> int:
    """Find a port that nobody uses right now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE, pause: float = 0.05) -> Any:
    """Wait until something holds, and return it; who looks at much pauses longer between two looks."""
    deadline = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < deadline, f"waited {patience:.0f} s in vain until {what}"
        time.sleep(pause)
    return found


class Up:
    """One data folder, and `metachat up` on it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data, self.port = data, free_port()
        self.options = options or ("--no-demo", "--workers", "1")
        self.output = data.parent / f"{data.name}.out"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a shell that knows this data folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
        return {**kept, "METACHAT_DATA_DIR": str(self.data), "METACHAT_PORT": str(self.port)}

    def starts(self) -> "Up":
        """Start it and wait until it says that it is ready."""
        process = self.process = self.begins()
        until(lambda: "Ready in" in self.said() or process.poll() is not None, "it is ready")
        assert process.poll() is None, self.said()
        return self

    def begins(self, *more: str) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "metachat", "up", *self.options, *more],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment,
            )  # fmt: skip

    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run another command of metachat beside it."""
        return commands.run(*argv, env=self.environment, timeout=PATIENCE)

    def status(self) -> dict[str, Any]:
        """What `metachat status --json` tells."""
        return json.loads(self.run("status", "--json").stdout)

    def processes(self) -> dict[str, Running]:
        """What the supervisor has written down, by name: read at once, where a command takes a second."""
        return {process.name: process for process in read(self.data).processes}

    def named(self, name: str) -> Running:
        """One of them."""
        return self.processes()[name]

    def pid_of(self, name: str) -> int:
        """The process id of one of them, which runs."""
        pid = self.named(name).pid
        assert pid is not None, f"{name} does not run"
        return pid

    @property
    def supervisor(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.supervisor)
        return [supervisor, *supervisor.children(recursive=True)]

    def stops(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, and wait until it is gone; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def cleans_up(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stops()
            self.process.kill()
            self.process.wait()
        if (self.data / "postgres").is_dir():
            Cluster(self.data / "postgres").destroy()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A platform of this test's own, not started yet."""
    made = Up(tmp_path / "data")
    yield made
    made.cleans_up()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform that runs, for stories that leave it running."""
    made = Up(tmp_path_factory.mktemp("up") / "data")
    # A folder that somebody else made keeps its mode.
    made.data.mkdir(mode=0o755)
    made.data.chmod(0o755)
    yield made.starts()
    made.cleans_up()
