"""The whole platform under its own supervisor, and Meta with its customers in a process beside it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.local.conftest import Up, until
from typing_extensions import override

from metachat import simulate
from metachat.cli.client import Client
from metachat.foundation.settings import load
from metachat.operations.local.postgres import Cluster
from metachat.simulate import Meta

ROOT = Path(__file__).parents[2]
# Longer than any delivery waits to hear of its fate, and any process to be started again.
PATIENCE = 120.0
_PACE = """
UPDATE channels SET settings = settings || '{"number_limit": 1000, "pair_pause": 0.01, "pair_burst": 100}'
WHERE kind = 'whatsapp'
"""
_WORK = "SELECT count(*) FROM jobs WHERE kind IN ('inbox', 'turn', 'deliver', 'late')"


class Platform(Up):
    """`metachat up` with two api processes and a scripted model; its Graph API is the simulator."""

    def __init__(self, data: Path, meta: Meta) -> None:
        super().__init__(data, "")
        self.meta = meta

    @property
    @override
    def environment(self) -> dict[str, str]:
        more = {"METACHAT_WORKERS": "2", "METACHAT_GRAPH_URL": self.meta.address, "PYTHONPATH": str(ROOT)}
        return super().environment | more

    @override
    def begins(self, *more: str) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.counting.child", "supervise", "empty"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self.environment, cwd=ROOT,
            )  # fmt: skip

    def client(self, tenant: str | None = None) -> Client:
        """The operator's way to it."""
        token = load(self.environment, "cli").cli_token
        assert token is not None
        return Client(f"http://127.0.0.1:{self.port}", token.reveal(), tenant)

    def opens_a_channel(self) -> None:
        """Make a tenant whose WhatsApp channel is the simulator's business, at a rate that never waits."""
        self.client().call("POST", "/api/v1/operator/tenants", {"slug": "acme", "name": "Acme"})
        account, acme = self.meta.account, self.client("acme")
        given = {
            "phone_number_id": account.phone_number_id, "app_secret": account.app_secret,
            "access_token": account.access_token, "quiet_seconds": 0.1,
        }  # fmt: skip
        made = acme.call("POST", "/api/v1/channels", {"kind": "whatsapp", "name": "W", "whatsapp": given})
        self.sql(_PACE)
        callback = f"http://127.0.0.1:{self.port}/hooks/whatsapp/{made['channel']['id']}"
        self.meta.connect(callback, handshake=False)
        self.meta.rates(number_per_second=1_000, pair_seconds=0)

    def sql(self, statement: str) -> Any:
        """Look into the database past every wall; gives the first value, None without rows."""

        async def look() -> Any:
            connection = await asyncpg.connect(Cluster(self.data / "postgres").superuser_dsn("metachat"))
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        return asyncio.run(look())

    def rests(self) -> bool:
        """Whether nothing is left to do."""
        try:
            return self.sql(_WORK) == 0
        except (OSError, asyncpg.PostgresError):
            return False


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs, with a channel."""
    with simulate.process() as meta:
        made = Platform(tmp_path_factory.mktemp("counting") / "data", meta)
        try:
            made.starts()
            made.opens_a_channel()
            yield made
        finally:
            made.cleans_up()


def wait_until_settled(platform: Platform) -> float:
    """Wait until every webhook was taken and everything was done; gives when."""
    until(lambda: platform.meta.state()["waiting"] == 0, "every webhook is acknowledged", PATIENCE)
    until(platform.rests, "nothing is left to do", PATIENCE, pause=0.25)
    return time.time()
