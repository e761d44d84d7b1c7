"""The embedded Postgres by itself."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from tests.conftest import Server

from metachat.operations.local import homes
from metachat.operations.local.postgres import Cluster, PostgresFailed, PostgresInUse

SMALL = {"fsync": "off", "shared_buffers": "'1MB'", "max_connections": "5"}


async def test_it_listens_on_its_socket_only_and_wants_a_password(postgres: Server) -> None:
    connection = await asyncpg.connect(postgres.superuser_dsn())
    assert await connection.fetchval("SHOW listen_addresses") == ""
    assert await connection.fetchval("SHOW unix_socket_permissions") == "0700"
    await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres.cluster.dsn("postgres", "postgres", "wrong"))


async def test_full_text_knows_letters_from_punctuation(postgres: Server) -> None:
    connection = await asyncpg.connect(postgres.superuser_dsn())
    found = await connection.fetchval("SELECT to_tsvector('simple', '„Žaba“ – ČEKA…')::text")
    await connection.close()
    assert found == "'čeka':2 'žaba':1"


def test_two_at_a_time_are_refused(cluster: Cluster) -> None:
    with pytest.raises(PostgresInUse):
        Cluster(cluster.folder).start()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    broken = Cluster(tmp_path / "pg", settings=SMALL | {"shared_buffers": "'much'"})
    broken.ensure()
    try:
        with pytest.raises(PostgresFailed, match="shared_buffers"):
            broken.start()
    finally:
        broken.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's database lies outside its folder")
def test_a_copied_folder_does_not_share_its_database(tmp_path: Path) -> None:
    original = Cluster(tmp_path / "pg", settings=SMALL)
    original.ensure()
    try:
        shutil.copytree(original.folder, tmp_path / "copy")
        with pytest.raises(homes.HomeMissing, match="seems to be a copy"):
            Cluster(tmp_path / "copy").ensure()
    finally:
        original.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives Postgres an account of its own")
def test_roots_server_runs_as_somebody_else(cluster: Cluster) -> None:
    assert cluster.process is not None
    assert Path(f"/proc/{cluster.process.pid}").stat().st_uid not in (0, os.getuid())
    assert cluster.data.stat().st_mode & 0o777 == 0o700


def test_its_modules_are_small() -> None:
    script = "import sys, metachat.operations.local.start, metachat.cli.child; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"asyncpg", "psutil", "typer", "litestar", "pydantic", "numpy", "ssl"}
    assert not heavy & set(loaded.stdout.split())
