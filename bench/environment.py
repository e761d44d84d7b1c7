"""A platform to measure: started by `metachat up` in a folder of its own, stopped at the end."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from metachat.operations.local.postgres import Cluster


@dataclass(frozen=True)
class Site:
    """A running platform: its address, its data folder, and the process that supervises it."""

    address: str
    data: Path
    supervisor: subprocess.Popen[bytes]

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """A browser's client with the demo owner's session."""
        email, password = (self.data / "owner.txt").read_text().split()
        with httpx.Client(base_url=self.address, follow_redirects=True, timeout=30) as browser:
            form = browser.get("/sign-in")
            fields = dict(re.findall(r'<input[^>]+name="(\w+)"[^>]+value="([^"]*)"', form.text))
            fields |= {"email": email, "password": password}
            signed = browser.post("/sign-in", data=fields, headers={"Origin": self.address})
            signed.raise_for_status()
            yield browser


@contextmanager
def running_platform(*arguments: str, environment: dict[str, str] | None = None) -> Iterator[Site]:
    """Start a platform on a free port and wait until it is ready, at most 90 seconds."""
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        data, port = Path(folder) / "var", free_port()
        command = [sys.executable, "-m", "metachat", "up", "--data", str(data), "--port", str(port)]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
        with (Path(folder) / "up.log").open("wb") as log:
            supervisor = subprocess.Popen(
                [*command, *arguments], env={**clean, **(environment or {})},
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        site = Site(f"http://127.0.0.1:{port}", data, supervisor)
        try:
            _await_greeting(site, Path(folder) / "up.log")
            yield site
        finally:
            supervisor.send_signal(signal.SIGINT)
            supervisor.wait(timeout=60)
            # For root, its database lies in a folder of its own.
            Cluster(data / "postgres").destroy()


def _await_greeting(site: Site, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if "Ready in" in log.read_text():
            return
        if site.supervisor.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the platform did not start:\n{log.read_text()[-3000:]}")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
