"""`metachat migrate`: bring a database to this version."""

import asyncio
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from metachat.foundation import migrations, settings
from metachat.foundation.settings import Secret

_SUPERUSER = "postgresql://postgres@/postgres?host=/var/run/postgresql"

PREPARE = typer.Option("--prepare", help="Make the database and its roles; run it as the user postgres.")


def migrate(prepare: Annotated[bool, PREPARE] = False) -> None:
    """Bring a database of your own to this version; `metachat up` does it for the embedded one."""
    if prepare:
        _prepare()
        return
    address = settings.load(process="migrate").owner_database_url
    assert address is not None, "settings are loaded for the process that uses them"
    for name in asyncio.run(migrations.migrate(address.reveal())):
        print(f"applied {name}")


def _prepare() -> None:
    loaded = settings.load(process="cli")
    addresses = (loaded.owner_database_url, loaded.database_url, loaded.worker_database_url)
    given = [urlsplit(address.reveal()) for address in addresses if isinstance(address, Secret)]
    passwords = {unquote(url.username or ""): unquote(url.password or "") for url in given}
    database = next(url.path.lstrip("/") for url in given)
    asyncio.run(migrations.prepare(_SUPERUSER, database, passwords))
    print(f"prepared {database} with {', '.join(sorted(passwords))}")
