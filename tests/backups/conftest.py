"""One small installation with a real Postgres that archives, and places for its backups."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups import archiving, drilling, signing
from metachat.operations.backups.contract import Target
from metachat.operations.backups.database import Server
from metachat.operations.backups.installation import Installation
from metachat.operations.backups.keeping import Keeper
from metachat.operations.backups.targets.directory import DirectoryTarget
from metachat.operations.local import binaries, homes
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import place_of
from metachat.operations.secrets.stores.file import FileStore

TENANT = "0192aaaa-0000-7000-8000-000000000001"


@dataclass
class House:
    """An installation that is being backed up, and whoever looks after it."""

    data: Path
    cluster: Cluster
    recovery: Secret
    installation: Installation

    @property
    def server(self) -> Server:
        return self.installation.server

    def with_target(self, target: Target) -> "House":
        """The same house with another place for its backups."""
        return House(self.data, self.cluster, self.recovery, replace(self.installation, target=target))

    def keeper(self) -> Keeper:
        return Keeper(self.installation, lambda line: None)

    def ask(self, sql: str) -> list[list[str]]:
        return self.server.ask(sql, "metachat")

    def archives(self) -> None:
        """Close the log's segment, wait until Postgres has handed it over, and send it away."""
        # An empty segment is not closed.
        self.server.ask("SELECT pg_logical_emit_message(false, 'test', 'something')")
        segment = self.server.one("SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
        self.server.ask("SELECT pg_switch_wal()")
        self.server.ask(WAIT.format(segment=segment))
        self.keeper().ship()


# Waited for in Postgres itself, whose archiver tells what it has handed over.
WAIT = """
DO $$ BEGIN
  FOR i IN 1..2400 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN (SELECT last_archived_wal >= '{segment}' FROM pg_stat_archiver);
    PERFORM pg_sleep(0.05);
    ASSERT i < 2400, 'nothing is archived';
  END LOOP;
END $$
"""


def drilled(installation: Installation) -> drilling.Record:
    """Drill on a thread that ends with it: whoever drills stands back for good, as all later tests would."""
    with ThreadPoolExecutor(1) as aside:
        return aside.submit(drilling.drill, installation).result()


SETTINGS = {"fsync": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def mould(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A database at rest that those of the houses are copies of, since making one takes a second."""
    cluster = Cluster(tmp_path_factory.mktemp("mould") / "postgres", settings=SETTINGS)
    cluster.ensure()
    cluster.start()
    server = Server.embedded(cluster)
    server.ask("CREATE DATABASE metachat")
    server.ask(
        "CREATE TABLE messages (id int PRIMARY KEY, text text);"
        "INSERT INTO messages SELECT i, md5(i::text) FROM generate_series(1, 5000) i",
        "metachat",
    )
    cluster.stop()
    yield cluster
    cluster.destroy()


def cast(mould: Cluster, folder: Path) -> Cluster:
    """A copy in a folder of its own."""
    cluster = Cluster(folder, settings=SETTINGS)
    folder.mkdir(mode=0o700)
    homes.ensure(folder, binaries.runner())
    shutil.copy2(mould.folder / "superuser.password", folder)
    subprocess.run(["cp", "-a", str(mould.data), str(cluster.data)], check=True)
    return cluster


@pytest.fixture
def house(tmp_path: Path, mould: Cluster) -> Iterator[House]:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    secrets = FileStore(data / "secrets.env")
    secrets.put("encryption_key", Secret("k" * 40))
    cluster = cast(mould, data / "postgres")
    cluster.start(settings=archiving.prepare(cluster))
    server = Server.embedded(cluster)
    identity, recovery = signing.ensure_identity(data), age.new_identity()
    who = (age.public(identity), age.public(recovery))
    (tmp_path / "offsite").mkdir()
    environ = {**os.environ, "METACHAT_DATA_DIR": str(data)}
    made = Installation(
        data, "shop.example", DirectoryTarget(tmp_path / "offsite"), server, identity, who,
        place_of(environ), data / "blobs", archiving.spool(cluster),
    )  # fmt: skip
    yield House(data, cluster, recovery, made)
    cluster.destroy()


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Path]:
    """A folder to restore into; what was restored there is gone afterwards."""
    folder = tmp_path / "restored"
    yield folder
    if (folder / "postgres").is_dir():
        Cluster(folder / "postgres").destroy()
