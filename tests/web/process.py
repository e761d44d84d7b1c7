"""A real api process for tests, with the command line beside it."""

import socket
import subprocess
import sys
import time

import httpx
from tests import commands


class Process:
    """One `metachat api` on an inherited socket."""

    def __init__(self, environment: dict[str, str]) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = environment | {"METACHAT_PORT": str(self.port)}
        fd = listening.fileno()
        command = [sys.executable, "-m", "metachat", "api", "--fd", str(fd)]
        self.child = subprocess.Popen(
            command, env=self.environment, pass_fds=[fd], stderr=subprocess.PIPE, text=True
        )
        listening.close()

    def is_ready(self) -> int:
        """Wait until it answers at all; returns the status of its health."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                return httpx.get(f"{self.address}/health/ready", timeout=5).status_code
            except httpx.TransportError:
                assert self.child.poll() is None, self.child.stderr.read() if self.child.stderr else ""
        raise TimeoutError

    def ends(self, within: float) -> int:
        """Wait for its end; returns its exit code."""
        return self.child.wait(timeout=within)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line beside it."""
        return commands.run(*arguments, env=self.environment)
