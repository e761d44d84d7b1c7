"""What Postgres is told of a new password, and who may start with which keys."""

import asyncio
import subprocess
import sys
from pathlib import Path

import asyncpg
from tests.conftest import Databases, Server

from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import Secret
from metachat.operations.keys import scram
from metachat.operations.secrets import handing
from metachat.operations.secrets.known import make


async def test_a_verifier_lets_in_who_knows_the_password(postgres: Server) -> None:
    superuser = await asyncpg.connect(postgres.superuser_dsn())
    await superuser.execute(f"CREATE ROLE scram_tried LOGIN PASSWORD '{scram.verifier('the right one')}'")
    try:
        inside = await asyncpg.connect(postgres.cluster.dsn("scram_tried", "postgres", "the right one"))
        await inside.close()
        with_another = postgres.cluster.dsn("scram_tried", "postgres", "another one")
        refused = await asyncio.gather(asyncpg.connect(with_another), return_exceptions=True)
        assert isinstance(refused[0], asyncpg.InvalidPasswordError)
    finally:
        await superuser.execute("DROP ROLE scram_tried")
        await superuser.close()


def test_a_worker_with_another_key_ends_at_once(as_environment: dict[str, str], databases: Databases) -> None:
    known = Keyring.of(as_environment["METACHAT_ENCRYPTION_KEY"]).current.id
    asyncio.run(record(databases, known))
    other = as_environment | {"METACHAT_ENCRYPTION_KEY": make().reveal()}
    worker = [sys.executable, "-m", "metachat", "worker"]
    done = subprocess.run(worker, env=other, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert known in done.stderr
    assert "escrow" in done.stderr
    assert other["METACHAT_ENCRYPTION_KEY"] not in done.stderr


async def record(databases: Databases, id: str) -> None:
    """Say that the database's rows are sealed under a key."""
    connection = await asyncpg.connect(databases.owner)
    add = "INSERT INTO key_records (name, id, state) VALUES ('encryption_key', $1, 'current')"
    await connection.execute(add, id)
    await connection.close()


def test_what_was_handed_over_is_renewed_and_nothing_else(tmp_path: Path) -> None:
    folder = handing.default_folder(tmp_path)
    try:
        handing.renew("encryption_key", Secret("n" * 43), folder)
        assert not folder.exists()
        handing.write({"encryption_key": Secret("o" * 43), "session_secret": Secret("s" * 43)}, folder)
        handing.renew("encryption_key", Secret("n" * 43), folder)
        handing.renew("api_key_pepper", Secret("p" * 43), folder)
        found = {path.name: path.read_text() for path in folder.iterdir()}
        assert found == {"encryption_key": "n" * 43, "session_secret": "s" * 43}
    finally:
        handing.clear(folder)
