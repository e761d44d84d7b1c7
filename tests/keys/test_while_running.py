"""`metachat secrets rotate` beside a running `metachat up`, with customers writing all the time."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from bench.rotation import Rows, Traffic, finished, rotation
from tests.local.conftest import PATIENCE, Up

from metachat.foundation.settings import Secret, read_secrets
from metachat.operations.secrets.known import make
from metachat.operations.secrets.stores.file import FileStore

ROWS = 5_000
NAME = "encryption_key"
LOCKED = f"row-{ROWS // 2:06}"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A platform with two api processes and a worker."""
    made = Up(tmp_path_factory.mktemp("keys") / "data", "--no-demo", "--workers", "2")
    yield made.starts()
    made.cleans_up()


@pytest.fixture(scope="module")
def traffic(up: Up) -> Traffic:
    """What customers and staff do; `channel` is their channel's path."""
    made = Traffic(f"http://127.0.0.1:{up.port}", read_secrets(up.data)["cli_token"])
    made.opens()
    return made


async def kill_in_the_middle(up: Up) -> int:
    """Kill a rotation that waits for a row which somebody holds; tells how many rows it has moved."""
    rows = Rows(up.data)
    holder = await rows.connect()
    transaction = holder.transaction()
    await transaction.start()
    await rows.enter(holder, "acme")
    assert await holder.fetch("SELECT FROM idempotency_keys WHERE key = $1 FOR UPDATE", LOCKED)
    begun = await asyncio.to_thread(rotation, up.data)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    deadline = time.monotonic() + PATIENCE
    while (moved := (await rows.in_use())[1]) == 0 or not await holder.fetchval(waiting):
        assert begun.poll() is None, begun.communicate()[0].decode()
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    begun.communicate()
    await transaction.rollback()
    await holder.close()
    return moved


def test_the_encryption_key_is_replaced_under_traffic_and_kill(up: Up, traffic: Traffic) -> None:
    before = read_secrets(up.data)[NAME]
    Rows(up.data).fill("acme", ROWS)
    with traffic.flowing():
        assert 0 < asyncio.run(kill_in_the_middle(up)) < ROWS
        shown = json.loads(up.run("secrets", "rotate", NAME, "--status", "--json").stdout)
        assert [key["state"] for key in shown["keys"]] == ["old", "current"]
        assert len(shown["processes"]) == 3
        told = finished(rotation(up.data, "--resume"))
    assert traffic.failed == []
    assert traffic.done > 100
    assert "encrypted rows open with the new key alone" in told
    after = read_secrets(up.data)[NAME]
    assert before not in after
    assert before not in told + str(shown)
    escrow = up.data / "password"
    escrow.write_text("a long passphrase for the safe")
    escrow.chmod(0o600)
    made = up.run("secrets", "escrow", "--passphrase-file", str(escrow), "--out", str(up.data / "safe.age"))
    assert made.returncode == 0, made.stderr
    doctor = up.run("secrets", "doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "1 retired keys, and nothing is under them" in doctor.stdout


def test_passwords_of_the_database_are_replaced_under_traffic(up: Up, traffic: Traffic) -> None:
    for name, role in (("database_url", "metachat_app"), ("worker_database_url", "metachat_worker")):
        for login in (f"{role}_2", role):
            old = read_secrets(up.data)[name]
            with traffic.flowing():
                done = up.run("secrets", "rotate", name)
            assert done.returncode == 0, done.stderr
            new = read_secrets(up.data)[name]
            assert urlsplit(new).username == login
            assert urlsplit(new).password != urlsplit(old).password
            assert (asyncio.run(signs_in(new)), asyncio.run(signs_in(old))) == (role, None)
    assert traffic.failed == []


async def signs_in(address: str) -> str | None:
    """As which role an address signs in; None when it may not."""
    try:
        connection = await asyncpg.connect(address)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return None
    role = await connection.fetchval("SELECT current_user::text")
    await connection.close()
    return str(role)


def test_the_platform_does_not_start_with_other_keys(up: Up) -> None:
    rightful = read_secrets(up.data)[NAME]
    id = json.loads(up.run("secrets", "fingerprint", "--json").stdout)[NAME]
    assert up.run("secrets", "rotate", "database_url").returncode == 0
    assert up.stops() == 0
    FileStore(up.data / "secrets.env").put(NAME, make())
    refused = up.begins()
    assert refused.wait(PATIENCE) == 78
    assert f"needs the key {id}" in up.said()
    assert "escrow" in up.said()
    FileStore(up.data / "secrets.env").put(NAME, Secret(rightful))
    up.starts()  # signed in by the second login of its role, too
