"""A platform whose model and embedder are scripted: Postgres, api processes, a worker, a web chat."""

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from metachat.domain import channels, knowledge
from metachat.foundation import migrations
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.scope import open_scope
from metachat.operations.local.postgres import Cluster

_HELP = Path(__file__).parent.parent / "src/metachat/demo/help/en"
_ROLES = ("metachat_owner", "metachat_app", "metachat_worker")


@dataclass
class ChatSite:
    """What runs, and how to reach it."""

    environment: dict[str, str]
    listening: socket.socket
    channel: str = ""
    tenant: TenantId | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    cluster: Cluster | None = None

    @property
    def port(self) -> int:
        """Where the api listens."""
        return int(self.listening.getsockname()[1])

    def start_api(self) -> subprocess.Popen[bytes]:
        """Start one more api process on the same socket."""
        fd = self.listening.fileno()
        return self._start("api", str(fd), pass_fds=(fd,))

    def start_worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one more worker."""
        return self._start("worker", *arguments)

    def _start(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.scripted", *arguments], env=self.environment, pass_fds=pass_fds
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Stop every process that still runs."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.listening.close()

    async def indexed(self, within: float = 60) -> None:
        """Wait until every document can be asked about."""
        assert self.tenant is not None
        database = await Database.open(self.environment["METACHAT_DATABASE_URL"], size=1)
        deadline = time.monotonic() + within
        try:
            while time.monotonic() < deadline:
                async with open_scope(database, self.tenant, actor="cli") as scope:
                    documents = await knowledge.list_documents(scope, limit=50)
                if all(document.status == "ready" for document in documents):
                    return
                await asyncio.sleep(0.1)
        finally:
            await database.close()
        raise RuntimeError(f"not indexed: {[(d.name, d.status, d.error_message) for d in documents]}")


@asynccontextmanager
async def chat_site(*worker_arguments: str, apis: int = 1, **settings: str) -> AsyncIterator[ChatSite]:
    """Run one until this is left; fsync is on, as in production. settings as in the environment."""
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        cluster = Cluster(Path(folder) / "pg")
        cluster.ensure()
        cluster.start()
        passwords = {role: secrets.token_urlsafe(24) for role in _ROLES}
        await migrations.prepare(
            cluster.dsn("postgres", "postgres", cluster.superuser_password), "metachat", passwords
        )
        owner, app, worker = (cluster.dsn(role, "metachat", passwords[role]) for role in _ROLES)
        await migrations.migrate(owner)
        site = ChatSite(environment(Path(folder), app, worker) | settings, listen(), cluster=cluster)
        try:
            await furnish(site, Path(folder))
            for _ in range(apis):
                site.start_api()
            site.start_worker(*worker_arguments)
            await site.indexed()
            yield site
        finally:
            site.stop()
            cluster.destroy()


def listen() -> socket.socket:
    """Open the socket that all api processes share."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listening.set_inheritable(True)
    return listening


def environment(data: Path, app: str, worker: str) -> dict[str, str]:
    """The settings of every process."""
    keys = ("SESSION_SECRET", "API_KEY_PEPPER", "ENCRYPTION_KEY", "CLI_TOKEN")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")},
        "METACHAT_DATA_DIR": str(data),
        "METACHAT_DATABASE_URL": app,
        "METACHAT_WORKER_DATABASE_URL": worker,
        **{f"METACHAT_{key}": secrets.token_urlsafe(40) for key in keys},
    }


async def furnish(site: ChatSite, data: Path, documents: str = "*.md") -> None:
    """Make a tenant with a web chat and some of the help centre's English pages."""
    database = await Database.open(site.environment["METACHAT_DATABASE_URL"], size=2)
    tenant = TenantId(uuid7())
    async with database.transaction(tenant=tenant) as db:
        await db.execute(
            "INSERT INTO tenants (tenant_id, slug, name) VALUES (:t, 'bench', 'Bench')", t=tenant
        )
    async with open_scope(database, tenant, actor="cli") as scope:
        site.channel = str((await channels.create(scope, "webchat", "Bench")).id)
    for path in sorted(_HELP.glob(documents)):
        async with open_scope(database, tenant, actor="cli") as scope:
            await knowledge.upload(scope, DiskBlobs(data / "blobs"), path.name, _bytes(path))
    site.tenant = tenant
    await database.close()


async def _bytes(path: Path) -> AsyncIterator[bytes]:
    yield path.read_bytes()


async def ready(site: ChatSite, within: float = 30) -> None:
    """Wait until an api process answers."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError("no api process answers")
