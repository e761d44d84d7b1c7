"""What `metachat up` refuses, and what it says then: what, where, and the next move."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.local.conftest import PATIENCE, Up

from metachat.foundation import migrations
from metachat.operations.local.postgres import Cluster


def refused(up: Up, *options: str) -> tuple[int, str]:
    """Start it, expecting that it ends by itself; returns its exit code and its words."""
    process = up.begins(*options)
    return process.wait(PATIENCE), up.said()


def test_a_second_up_on_the_same_data(running: Up, tmp_path: Path) -> None:
    second = Up(running.data)
    second.output = tmp_path / "second.out"
    code, words = refused(second)
    assert code == 75
    assert f"used by process {running.supervisor}" in words
    assert "metachat down" in words
    assert running.status()["healthy"]


def test_a_taken_port(up: Up) -> None:
    with socket.create_server(("127.0.0.1", up.port)):
        code, words = refused(up)
    assert code == 75
    assert f"Port {up.port} on 127.0.0.1 is used by process {os.getpid()}" in words
    assert f"--port {up.port + 1}" in words
    assert not (up.data / "postgres").exists()


def test_an_address_of_another_machine(up: Up) -> None:
    code, words = refused(up, "--host", "192.0.2.1")
    assert code == 65
    assert "192.0.2.1" in words


def test_a_file_where_the_data_folder_should_be(up: Up) -> None:
    up.data.write_text("not a folder")
    code, words = refused(up)
    assert code == 73
    assert f"{up.data} is not a folder" in words


def test_data_of_a_newer_version(up: Up) -> None:
    up.data.mkdir()
    facts = {"metachat": "9.9.9", "migration": migrations.newest() + 1}
    (up.data / "version.json").write_text(json.dumps(facts))
    code, words = refused(up)
    assert code == 78
    assert "metachat 9.9.9" in words
    assert "nothing is left running" in words


def test_data_of_another_postgres(up: Up) -> None:
    cluster = Cluster(up.data / "postgres")
    cluster.ensure()
    (cluster.data / "PG_VERSION").write_text("17\n")
    code, words = refused(up)
    assert code == 65
    assert "made by Postgres 17" in words


def test_a_database_of_ones_own(up: Up) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "metachat", "up"],
        env=up.environment | {"METACHAT_DATABASE_URL": "postgresql://elsewhere/x"},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert process.returncode == 78
    assert "METACHAT_DATABASE_URL" in process.stderr
    assert not (up.data / "postgres").exists()


def test_wrong_settings_are_told_all_at_once(up: Up) -> None:
    code, words = refused(up, "--port", "99999", "--workers", "-3")
    assert code == 78
    assert "METACHAT_PORT" in words
    assert "METACHAT_WORKERS" in words


@pytest.mark.parametrize(
    ("mount", "sentence"),
    [("ro,size=64m", "Read-only file system"), ("size=512k", "No space left"), ("size=64m", "MiB free")],
)
def test_a_disk_that_is_read_only_full_or_small(up: Up, mount: str, sentence: str) -> None:
    up.data.mkdir()
    script = f'mount -t tmpfs -o {mount} none "$1" && shift && exec "$@"'
    argv = ["unshare", "--mount", "sh", "-c", script, "sh", str(up.data)]
    if shutil.which("unshare") is None or subprocess.run([*argv, "true"], check=False).returncode != 0:
        pytest.skip("this account may not mount anything, not even in a namespace of its own")
    process = subprocess.run(
        [*argv, sys.executable, "-m", "metachat", "up"],
        env=up.environment, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert process.returncode == 73, process.stderr
    assert sentence in process.stderr
    assert str(up.data) in process.stderr
