"""The embedded database's roles, tables and version.

Used by a child of `metachat up`, so that the driver does not stay loaded in the supervisor.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from metachat.foundation import migrations
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.key_records import KeyringMismatch, Recorded, mismatches
from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import read_secrets
from metachat.operations.local import folder, keys
from metachat.operations.local.postgres import Cluster

_VERSION_FILE = "version.json"


class FolderNewer(Refusal):
    """The data folder was last used by a newer version of metachat."""

    code = "data_folder_newer"
    kind = Kind.CONFLICT
    exit_code = 78  # EX_CONFIG


async def prepare(data: Path, rings: Mapping[str, Keyring]) -> list[str]:
    """Bring a running embedded database to this version and name what was applied.

    rings are the keys that the processes will get. Raises FolderNewer, KeyringMismatch.
    """
    check_version(data)
    cluster = Cluster(data / "postgres")
    await migrations.prepare(cluster.superuser_dsn(), keys.DATABASE, keys.passwords(data))
    owner = read_secrets(data)["owner_database_url"]
    applied = await migrations.migrate(owner)
    await check_keys(owner, rings)
    facts = {"metachat": folder.version(), "migration": migrations.newest()}
    folder.write(data / _VERSION_FILE, json.dumps(facts) + "\n", 0o644)
    return applied


async def check_keys(owner: str, rings: Mapping[str, Keyring]) -> None:
    """Refuse keys that are not the database's, before any process starts; raises KeyringMismatch."""
    connection = await asyncpg.connect(owner)
    try:
        rows = await connection.fetch("SELECT name, id, state FROM key_records")
    finally:
        await connection.close()
    found = mismatches(rings, [Recorded(**row) for row in rows])
    if found:
        raise KeyringMismatch("\n".join(found))


def check_version(data: Path) -> None:
    """Refuse a folder that a newer version used; raises FolderNewer."""
    try:
        facts = json.loads((data / _VERSION_FILE).read_text())
    except FileNotFoundError:
        return
    if facts["migration"] > migrations.newest():
        raise FolderNewer(
            f"{data} was used by metachat {facts['metachat']} (schema {facts['migration']}); this is"
            f" metachat {folder.version()} (schema {migrations.newest()})."
            " Start that version or a later one, restore a backup, or choose another folder with --data."
        )
