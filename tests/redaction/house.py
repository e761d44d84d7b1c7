"""The whole application as processes of its own, with a canary wherever something is secret."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from tests.conftest import FAST, ROLES
from tests.redaction.canaries import Aviary
from typing_extensions import override

from metachat.foundation import migrations
from metachat.foundation.settings import DECLARED
from metachat.operations.local.postgres import Cluster

_URLS = {
    "redis_url": "redis://:{}@127.0.0.1:1/0",
    "rabbitmq_url": "amqp://metachat:{}@127.0.0.1:1/",
}


class Provider(ThreadingHTTPServer):
    """What stands before the simulator: it passes everything on, or fails and repeats what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.behind = ""
        self.fails: tuple[int, int] | None = None
        self.failed = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Passing(BaseHTTPRequestHandler):
    """One request to Meta."""

    @property
    def _provider(self) -> Provider:
        assert isinstance(self.server, Provider)
        return self.server

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        token = self.headers.get("authorization", "")
        if self._provider.fails is not None:
            status, code = self._provider.fails
            self._provider.failed += 1
            said = f"{token} is no good, and {token.removeprefix('Bearer ')} neither"
            error = {"message": said, "code": code, "type": "OAuthException", "error_data": {"details": said}}
            self._answer(status, json.dumps({"error": error}).encode())
            return
        kind = self.headers.get("content-type", "application/json")
        passed = httpx.request(
            self.command, self._provider.behind + self.path, content=body,
            headers={"authorization": token, "content-type": kind},
        )  # fmt: skip
        self._answer(passed.status_code, passed.content)

    do_GET = do_POST = _pass

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


class House:
    """A running platform: Postgres, an api process and a worker; all that they say lies in `logs`."""

    def __init__(self, folder: Path, aviary: Aviary, cluster: Cluster, provider: Provider) -> None:
        self.aviary, self.cluster, self.provider = aviary, cluster, provider
        self.data, self.logs, self.credentials = (folder / name for name in ("data", "logs", "credentials"))
        for place in (self.data, self.logs, self.credentials):
            place.mkdir(mode=0o700)
        self.secrets = {name: self._seeded(name) for name, declared in DECLARED.items() if declared.secret}
        for name, value in self.secrets.items():
            (self.credentials / name).write_text(value)
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("METACHAT_")},
            "CREDENTIALS_DIRECTORY": str(self.credentials), "METACHAT_DATA_DIR": str(self.data),
            "METACHAT_PORT": self.address.rpartition(":")[2], "METACHAT_GRAPH_URL": provider.address,
            "METACHAT_ALLOWED_NETWORKS": "127.0.0.0/8", "METACHAT_LOG_FORMAT": "json",
            "METACHAT_DEBUG": "true", "METACHAT_SMTP_USER": "metachat", "METACHAT_SMTP_HOST": "127.0.0.1",
        }  # fmt: skip
        self._listening = listening
        self.children: list[subprocess.Popen[bytes]] = []

    def starts(self) -> None:
        """Make the database and start both processes."""
        passwords = {role: self._password(role) for role in ROLES}
        asyncio.run(self._prepare(passwords))
        self.children = [
            self.start("api", "api", "--fd", str(self._listening.fileno())), self.start("worker", "worker"),
        ]  # fmt: skip
        self.until(lambda: self._is_ready(), "the api is ready")

    def start(self, log: str, *argv: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process of metachat whose output goes to a log."""
        with (self.logs / f"{log}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "metachat", *argv], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, env=self.environment | environment, pass_fds=[self._listening.fileno()],
            )  # fmt: skip

    def runs(self, log: str, *argv: str, **environment: str) -> int:
        """Run a command to its end; gives its exit code."""
        return self.start(log, *argv, **environment).wait(60)

    def until(self, holds: Any, what: str, patience: float = 40) -> Any:
        """Wait until something holds."""
        deadline = time.monotonic() + patience
        while not (found := holds()):
            assert time.monotonic() < deadline, f"waited in vain until {what}: {self.said()[-4000:]}"
            time.sleep(0.05)
        return found

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the database past every wall."""
        return asyncio.run(self._rows(sql, values))

    def said(self) -> str:
        """All that the processes said so far."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.logs.glob("*.log")))

    def shown_by_the_system(self) -> dict[str, bytes]:
        """What /proc tells everybody, or our own account, of the processes and their children."""
        family = [one for child in self.children for one in self._family(child.pid)]
        assert len(family) >= len(self.children)
        return {
            f"/proc/{one.pid}/{name}": Path(f"/proc/{one.pid}/{name}").read_bytes()
            for one in family
            for name in ("cmdline", "environ")
        }

    def ends(self) -> None:
        """Stop everything."""
        for child in self.children:
            child.terminate()
        for child in self.children:
            child.wait(20)
        self._listening.close()

    def _family(self, pid: int) -> list[psutil.Process]:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]

    def _seeded(self, name: str) -> str:
        canary = self.aviary.seed(f"setting {name}")
        role = {"database_url": "metachat_app", "worker_database_url": "metachat_worker",
                "owner_database_url": "metachat_owner"}.get(name)  # fmt: skip
        if role is not None:
            return self.cluster.dsn(role, "metachat", canary)
        return _URLS.get(name, "{}").format(canary)

    def _password(self, role: str) -> str:
        for name in ("database_url", "worker_database_url", "owner_database_url"):
            found = re.search(rf"//{role}:([^@]+)@", self.secrets[name])
            if found:
                return found[1]
        raise KeyError(role)

    async def _prepare(self, passwords: dict[str, str]) -> None:
        await migrations.prepare(self.cluster.superuser_dsn(), "metachat", passwords)
        await migrations.migrate(self.secrets["owner_database_url"])

    async def _rows(self, sql: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.cluster.superuser_dsn("metachat"))
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            assert self.children[0].poll() is None, self.said()
            return False


@contextmanager
def opened(folder: Path, aviary: Aviary) -> Iterator[House]:
    """Run a house in a folder."""
    cluster, provider = Cluster(folder / "pg", settings=FAST), Provider()
    cluster.ensure()
    cluster.start()
    house = House(folder, aviary, cluster, provider)
    try:
        house.starts()
        yield house
    finally:
        house.ends()
        provider.shutdown()
        provider.server_close()
        cluster.destroy()
