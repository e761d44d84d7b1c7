"""`metachat migrate`: bring a database of your own to this version."""

import asyncio

from metachat.foundation import migrations, settings
from metachat.foundation.errors import Invalid


def migrate() -> None:
    """Bring the database to this version; `metachat up` does it by itself."""
    address = settings.load(process="cli").owner_database_url
    if address is None:
        raise Invalid("METACHAT_OWNER_DATABASE_URL is not set: where is the database?")
    for name in asyncio.run(migrations.migrate(address.reveal())):
        print(f"applied {name}")
