"""What every test stands on: a real Postgres of its own, a fresh database, two tenants who are strangers."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import hypothesis
import pytest

from metachat.foundation import migrations
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.operations.local.postgres import Cluster
from tests import shortcuts
from tests.recycling import Recycling

if TYPE_CHECKING:
    from playwright.async_api import Browser

# `make test` tries the same examples each time, so that a change is judged by what it changed; `make soak`
# looks for new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
if "METACHAT_SOAK" not in os.environ:
    hypothesis.settings.load_profile("same")

ROLES = ("metachat_owner", "metachat_app", "metachat_worker")

# Tests may lose data when the machine dies; they may not lose time.
FAST = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "120",
    "scram_iterations": "1",
}  # fmt: skip
TEMPLATE = "template_metachat"

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
]  # fmt: skip


def _standing() -> tuple[int, set[int]]:
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getaffinity(0)


AS_STARTED = _standing()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, None, None]:
    """Name the test that leaves this process at low priority or on fewer processors: it slows all others."""
    yield
    assert _standing() == AS_STARTED


@dataclass(frozen=True)
class Databases:
    """The addresses of one fresh database, by role."""

    name: str
    superuser: str
    owner: str
    app: str
    worker: str


@dataclass(frozen=True)
class Server:
    """A running Postgres with a migrated template database."""

    cluster: Cluster
    passwords: dict[str, str]
    recycling: Recycling = field(default_factory=Recycling)

    def superuser_dsn(self, database: str = "postgres") -> str:
        """Address for the superuser."""
        return self.cluster.dsn("postgres", database, self.cluster.superuser_password)

    def databases(self, name: str) -> Databases:
        """Addresses of a database by role."""
        owner, app, worker = (self.cluster.dsn(role, name, self.passwords[role]) for role in ROLES)
        return Databases(name, self.superuser_dsn(name), owner, app, worker)


@pytest.fixture(scope="session", autouse=True)
def short() -> Iterator[None]:
    """Take what shortcuts there are."""
    with shortcuts.taken():
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Postgres server of this test process."""
    running = Cluster(tmp_path_factory.mktemp("pg"), settings=FAST)
    running.ensure()
    running.start()
    yield running
    running.destroy()


@pytest.fixture(scope="session")
async def postgres(cluster: Cluster) -> Server:
    """The server, with roles and a template database that has every migration."""
    server = Server(cluster, {role: secrets.token_urlsafe(24) for role in ROLES})
    await migrations.prepare(server.superuser_dsn(), TEMPLATE, server.passwords)
    await migrations.migrate(server.databases(TEMPLATE).owner)
    await server.recycling.learn(server.superuser_dsn(), TEMPLATE)
    return server


async def fresh_database(server: Server) -> Databases:
    """Take a database that is like new again, or copy the template: never all migrations."""
    if server.recycling.ready:
        return server.databases(server.recycling.ready.pop())
    name = _name()
    connection = await asyncpg.connect(server.superuser_dsn())
    try:
        await connection.execute(
            f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE} OWNER metachat_owner STRATEGY FILE_COPY'
        )
    finally:
        await connection.close()
    return server.databases(name)


async def drop_database(server: Server, name: str) -> None:
    """Take a database back, or remove it; whoever is still connected loses it."""
    again = _name()
    if await server.recycling.renew(server.superuser_dsn(), name, again):
        return
    connection = await asyncpg.connect(server.superuser_dsn())
    try:
        for left in (name, again):
            await connection.execute(f'DROP DATABASE IF EXISTS "{left}" WITH (FORCE)')
    finally:
        await connection.close()


def _name() -> str:
    return f"t_{secrets.token_hex(6)}"


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator["Browser"]:
    """Debian's Chromium, the same one for all tests of this process; each opens contexts of its own."""
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM} is not installed (apt-get install chromium)")
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def databases(postgres: Server) -> AsyncIterator[Databases]:
    """A fresh database for one test."""
    made = await fresh_database(postgres)
    yield made
    await drop_database(postgres, made.name)


@pytest.fixture
async def app_db(databases: Databases) -> AsyncIterator[Database]:
    """The database as the api's role sees it."""
    database = await Database.open(databases.app)
    yield database
    await database.close()


@pytest.fixture
async def worker_db(databases: Databases) -> AsyncIterator[Database]:
    """The database as the worker's role sees it."""
    database = await Database.open(databases.worker)
    yield database
    await database.close()


async def add_tenant(database: Database, slug: str) -> TenantId:
    """Put a bare tenant into the database."""
    tenant = TenantId(uuid7())
    async with database.transaction(tenant=tenant) as db:
        await db.execute(
            "INSERT INTO tenants (tenant_id, slug, name) VALUES (:tenant, :slug, :name)",
            tenant=tenant, slug=slug, name=slug.title(),
        )  # fmt: skip
    return tenant


@pytest.fixture
async def tenant(app_db: Database) -> TenantId:
    """The tenant whose story it is."""
    return await add_tenant(app_db, "acme")


@pytest.fixture
async def stranger(app_db: Database) -> TenantId:
    """Another tenant, who must never see anything of the first."""
    return await add_tenant(app_db, "stranger")


@pytest.fixture
def as_environment(databases: Databases, tmp_path: Path) -> dict[str, str]:
    """The environment under which real child processes find this test's database."""
    key = "k" * 8
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")},
        "METACHAT_DATA_DIR": str(tmp_path),
        "METACHAT_DATABASE_URL": databases.app,
        "METACHAT_WORKER_DATABASE_URL": databases.worker,
        "METACHAT_OWNER_DATABASE_URL": databases.owner,
        "METACHAT_SESSION_SECRET": key + secrets.token_urlsafe(32),
        "METACHAT_API_KEY_PEPPER": key + secrets.token_urlsafe(32),
        "METACHAT_ENCRYPTION_KEY": key + secrets.token_urlsafe(32),
        "METACHAT_CLI_TOKEN": key + secrets.token_urlsafe(32),
    }
