"""`metachat migrate`: bring a database to this version."""

import asyncio

from metachat.foundation import migrations, settings
from metachat.foundation.errors import Invalid


def migrate() -> None:
    """Bring a database of your own to this version; `metachat up` does it for the embedded one."""
    address = settings.load(process="cli").owner_database_url
    if address is None:
        raise Invalid("METACHAT_OWNER_DATABASE_URL is not set: where is the database?")
    for name in asyncio.run(migrations.migrate(address.reveal())):
        print(f"applied {name}")
