"""A site with its database, its backups and a simulated WhatsApp, and ways to harm it."""

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from metachat import simulate
from metachat.foundation import clock
from metachat.foundation.db import Database
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import load, read_secrets
from metachat.operations.backups import archiving, memory
from metachat.operations.backups.memory import Memory
from metachat.operations.local import keys, schema
from metachat.operations.local.postgres import Cluster
from metachat.operations.monitoring import rules
from metachat.operations.monitoring.rules import Limits
from metachat.simulate import Meta
from metachat.wiring import open_platform
from tests.backups.weather import BUCKET, KEY, SECRET, Weather, behind_weather
from tests.conftest import add_tenant
from tests.monitoring.people import people
from tests.monitoring.site import SILENT, Site
from tests.monitoring.tls import certificate, serving_tls
from tests.monitoring.tools import program
from tests.sending.conftest import connected

PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")
# The database may lose data when the machine dies; it may not lose time.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def limits() -> Limits:
    """Lowered: window, latency, queue age, connections, sign-ins. The others are those of a real site."""
    return Limits(window=10, latency=0.4, queue_age=4, refused_sign_ins=5, connections=0.5)


class House:
    """The site, and ways to harm it."""

    def __init__(self, site: Site, cluster: Cluster, pem: list[bytes], meta: Meta, weather: Weather) -> None:
        self.site, self.cluster, self.pem, self.meta, self.weather = site, cluster, pem, meta, weather
        self.name, self.superuser = keys.DATABASE, cluster.superuser_dsn(keys.DATABASE)

    async def sql(self, *statements: str) -> None:
        """Do something to the database past every wall."""
        connection = await asyncpg.connect(self.superuser)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    def does(self, *statements: str) -> Callable[[], None]:
        """The same from a thread."""
        return lambda: asyncio.run(self.sql(*statements))

    @property
    def memory(self) -> Memory:
        """What backups and archive remember."""
        return memory.recall(self.backups)

    @property
    def backups(self) -> Path:
        """The folder of that."""
        return self.site.data / "backups"

    def canary_age(self) -> float:
        """The age of the newest canary that has arrived, in seconds; endless where none has."""
        at = self.memory.canary_at
        return (clock.now() - at).total_seconds() if at else math.inf

    def backs_up(self) -> None:
        """Make a full backup."""
        done = self.site.metachat("backup", "now")
        assert done.returncode == 0, done.stderr

    def fails_to_back_up(self) -> None:
        """Try to make one where none can be made."""
        done = self.site.metachat("backup", "now")
        assert done.returncode != 0, done.stdout


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    """Make and start everything, the first backup included; prints what was measured at the end."""
    for name in PROGRAMS:
        program(name)
    data = folder / "data"
    data.mkdir()
    cluster = Cluster(data / "postgres", settings=FAST)
    pem = [certificate(days=90)]
    with ExitStack() as stack:
        stack.callback(cluster.destroy)
        await asyncio.to_thread(_start, cluster)
        keys.ensure(data, cluster)
        await schema.prepare(data, {})
        heard, meta = stack.enter_context(people()), stack.enter_context(simulate.thread())
        weather, store = stack.enter_context(behind_weather(folder / "s3"))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")},
            "METACHAT_DATA_DIR": str(data), "METACHAT_GRAPH_URL": meta.address,
            "METACHAT_BACKUP_TARGET": f"s3:{BUCKET}/shop?endpoint={store}&patience=1&timeout=10",
            "METACHAT_BACKUP_ACCESS_KEY": KEY, "METACHAT_BACKUP_SECRET_KEY": SECRET,
            "METACHAT_PUBLIC_URL": f"https://127.0.0.1:{stack.enter_context(serving_tls(lambda: pem[0]))}",
        }  # fmt: skip
        site = Site(folder, environment, heard, stack, limits())
        house = House(site, cluster, pem, meta, weather)
        await _connect_whatsapp(environment, meta, site.address)
        try:
            await asyncio.to_thread(house.backs_up)
            await asyncio.to_thread(site.start)
            yield house
        finally:
            await asyncio.to_thread(site.stop)
            _print_table(site)


def _start(cluster: Cluster) -> None:
    cluster.ensure()
    cluster.start(settings=archiving.prepare(cluster))


async def _connect_whatsapp(environment: dict[str, str], meta: Meta, address: str) -> None:
    settings = load(environment, "api")
    database = await Database.open(read_secrets(settings.data_dir)["database_url"], size=1)
    tenant = await add_tenant(database, "acme")
    await add_tenant(database, "stranger")
    await database.close()
    async with (
        open_platform(settings, "api") as platform,
        open_scope(platform.database, tenant, actor="test") as scope,
    ):
        channel = await connected(scope, platform, meta.account)
    await asyncio.to_thread(meta.connect, f"{address}/hooks/whatsapp/{channel.id}", handshake=False)


def _print_table(site: Site) -> None:
    print(f"\n{'rule':<22} {'message after':>13} {'end told after':>15} {'in production, at worst':>24}")
    for one in site.measured:
        worst = rules.detection(rules.named(one.rule), rules.Pace())
        print(f"{one.rule:<22} {one.fired:>11.1f} s {one.resolved:>13.1f} s {worst:>22.0f} s")
    with contextlib.suppress(ValueError):
        slowest = max(rules.detection(rule, rules.Pace()) for rule in rules.RULES)
        print(f"slowest: {max(one.fired for one in site.measured):.1f} s, in production {slowest:.0f} s")
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(site.people.counted.items()))
    print(f"beginnings and ends received: {told}")
    for dead, seconds in site.deaths.items():
        print(f"{dead} dead: told by the watch after {seconds:.1f} s, which waits for {SILENT} s of silence")
