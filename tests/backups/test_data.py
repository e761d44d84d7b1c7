"""Every row, document and secret out of one Postgres, and into an empty one of another version."""

import hashlib
import json
import os
import subprocess
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from tests import commands
from tests.conftest import Databases, Server, drop_database, fresh_database

from metachat.foundation.fingerprint import fingerprint
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups.contract import KeyMissing
from metachat.operations.backups.installation import quietly
from metachat.operations.backups.logical import exporting, importing
from metachat.operations.backups.logical.form import ExportDamaged, ExportRefused, NotEmptyThere, Tail
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import place_of
from metachat.operations.secrets.stores.file import FileStore

LETTER = b"Terms of delivery" * 5000
FILL = r"""
INSERT INTO contacts (tenant_id, id, channel_id, external_id, name)
SELECT $1, gen_random_uuid(), gen_random_uuid(), i, E'a\tb\\N\nc\\. ' || i FROM generate_series(1, 3000) i
"""
STANDS = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
COUNT = "SELECT count(*) FROM {}"


@pytest.fixture
async def empty(postgres: Server) -> AsyncIterator[Databases]:
    """Another database of this version, that nobody used yet."""
    made = await fresh_database(postgres)
    yield made
    await drop_database(postgres, made.name)


@pytest.fixture
async def filled(databases: Databases, tenant: TenantId, stranger: TenantId) -> Databases:
    """A database with two tenants, words with every trap of COPY, vectors, and a key that rows are under."""
    connection = await asyncpg.connect(databases.superuser)
    try:
        # Contacts without their channels: what a row needs is not the story here.
        await connection.execute("SET session_replication_role = 'replica'")
        for whose in (tenant, stranger):
            await connection.execute(FILL, whose)
        await connection.execute("SELECT nextval(seqrelid::regclass) FROM pg_sequence")
        await connection.execute(
            "INSERT INTO key_records (name, id, state) VALUES ('encryption_key', $1, 'current')",
            Keyring.of(Secret("k" * 43)).current.id,
        )
    finally:
        await connection.close()
    return databases


@pytest.fixture
def data(tmp_path: Path, tenant: TenantId) -> Path:
    """The data folder of before: its secrets and a document."""
    folder = tmp_path / "before"
    folder.mkdir()
    FileStore(folder / "secrets.env").put("encryption_key", Secret("k" * 43))
    name = hashlib.sha256(LETTER).hexdigest()
    place = folder / "blobs" / str(tenant) / name[:2]
    place.mkdir(parents=True)
    (place / name).write_bytes(LETTER)
    return folder


@pytest.fixture
def identity() -> Secret:
    return age.new_identity()


def exports(databases: Databases, data: Path, identity: Secret) -> tuple[importing.Export, Tail]:
    file = data.parent / "all.export"
    place = place_of({**os.environ, "METACHAT_DATA_DIR": str(data)})
    source = exporting.From(databases.superuser, place, data / "blobs")
    tail = exporting.export(source, file, [age.public(identity)], quietly)
    return importing.Export(file, identity), tail


async def ask(databases: Databases, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(databases.superuser)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


SUMS = "SELECT tenant_id, count(*), md5(string_agg(c::text, '|' ORDER BY id)) FROM contacts c GROUP BY 1"


async def test_every_tenants_rows_and_documents_arrive(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, tail = await to_thread(exports, filled, data, identity)
    arrived = await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)
    assert arrived == tail
    assert tail.tables["contacts"].rows == 6000
    found = await ask(empty, SUMS)
    assert len(found) == 2
    assert sorted(found) == sorted(await ask(filled, SUMS))
    assert [path.read_bytes() for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [LETTER]
    assert b"Terms of delivery" not in export.file.read_bytes()
    assert export.file.stat().st_mode & 0o077 == 0
    assert await ask(empty, STANDS) == await ask(filled, STANDS) != []


async def test_a_database_in_use_is_left_alone(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, _ = await to_thread(exports, filled, data, identity)
    await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)
    with pytest.raises(NotEmptyThere, match="contacts"):
        await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)
    assert await ask(empty, COUNT.format("contacts")) == [(6000,)]


RAN = """
INSERT INTO jobs (lane, kind, dedupe_key) VALUES ('tidy-inbox', 'tidy-inbox', 'tidy-inbox');
INSERT INTO lanes (lane, leased_until) VALUES ('tidy-inbox', now());
INSERT INTO workers (name) VALUES ('worker-1');
INSERT INTO throttles (key, tries, window_ends_at) VALUES ('key', 1, now());
INSERT INTO rate_levels (key, full_at) VALUES (decode(repeat('00', 16), 'hex'), now());
"""


async def test_what_processes_left_before_anybody_came_gives_way(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, _ = await to_thread(exports, filled, data, identity)
    connection = await asyncpg.connect(empty.superuser)
    await connection.execute(RAN)
    await connection.close()
    await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)
    assert await ask(empty, COUNT.format("contacts")) == [(6000,)]
    assert await ask(empty, COUNT.format("jobs")) == await ask(filled, COUNT.format("jobs"))


async def test_a_tenants_work_that_waits_is_left_alone(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, _ = await to_thread(exports, filled, data, identity)
    await ask(empty, "INSERT INTO jobs (lane, kind, tenant_id) VALUES ('l', 'turn', gen_random_uuid())")
    with pytest.raises(NotEmptyThere, match="jobs"):
        await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)


async def test_another_version_is_refused(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, _ = await to_thread(exports, filled, data, identity)
    await ask(
        empty, "DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations)"
    )
    with pytest.raises(ExportRefused, match="at migration"):
        await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)


@pytest.mark.parametrize("fault", ["cut early", "cut late", "wrong byte", "another key"])
async def test_a_bad_file_changes_nothing(
    filled: Databases, empty: Databases, data: Path, identity: Secret, tmp_path: Path, fault: str
) -> None:
    export, _ = await to_thread(exports, filled, data, identity)
    whole = export.file.read_bytes()
    middle = len(whole) // 2
    broken = {
        "cut early": whole[:150], "cut late": whole[:-20], "another key": whole,
        "wrong byte": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
    }[fault]  # fmt: skip
    export.file.write_bytes(broken)
    if fault == "another key":
        export = importing.Export(export.file, age.new_identity())
    with pytest.raises(KeyMissing if fault == "another key" else ExportDamaged):
        await to_thread(importing.import_into, empty.superuser, tmp_path / "blobs", export, quietly)
    assert await ask(empty, COUNT.format("contacts")) == [(0,)]
    assert await ask(empty, COUNT.format("tenants")) == [(0,)]


def runs(data: Path, *argv: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    return commands.run("data", *argv, "--data", str(data), "--json", env=kept, timeout=120)


async def test_a_new_folder_is_filled_with_the_keys_of_the_old_one(
    filled: Databases, data: Path, identity: Secret, tmp_path: Path
) -> None:
    export, tail = await to_thread(exports, filled, data, identity)
    key, after = tmp_path / "recovery.key", tmp_path / "after"
    key.write_text(identity.reveal())
    key.chmod(0o600)
    try:
        ran = await to_thread(runs, after, "import", str(export.file), "--identity", str(key))
        assert ran.returncode == 0, ran.stderr
        rows = json.loads(ran.stdout)["rows"]
        assert rows == sum(one.rows for one in tail.tables.values())
        assert "k" * 43 in (after / "secrets.env").read_text()
        again = await to_thread(runs, after, "import", str(export.file), "--identity", str(key))
        assert again.returncode == 73, again.stderr
        # What came in goes out again.
        ran = await to_thread(runs, after, "export", str(tmp_path / "again.export"))
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["rows"] == rows
        # Keys that do not open what comes are told before anything is written.
        other = tmp_path / "other"
        other.mkdir()
        FileStore(other / "secrets.env").put("encryption_key", Secret("o" * 43))
        ran = await to_thread(runs, other, "import", str(export.file), "--identity", str(key))
        assert ran.returncode == 78
        assert fingerprint("k" * 43) in ran.stderr
        assert not (other / "postgres").exists()
    finally:
        if (after / "postgres").is_dir():
            Cluster(after / "postgres").destroy()
