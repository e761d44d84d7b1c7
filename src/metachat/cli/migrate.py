"""`metachat migrate`: bring a database to this version."""

import asyncio

from metachat.foundation import migrations, settings


def migrate() -> None:
    """Bring a database of your own to this version; `metachat up` does it for the embedded one."""
    address = settings.load(process="migrate").owner_database_url
    assert address is not None, "settings are loaded for the process that uses them"
    for name in asyncio.run(migrations.migrate(address.reveal())):
        print(f"applied {name}")
