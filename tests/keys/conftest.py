"""An installation whose keys are rotated: a store in a file, a database with sealed rows of two tenants."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.conftest import Databases

from metachat.domain import assistant
from metachat.domain.accounts import answers
from metachat.domain.assistant import Fallback, Profile
from metachat.domain.channels import find
from metachat.domain.channels.whatsapp.settings import Credentials, connect, opened
from metachat.foundation import key_records
from metachat.foundation.db import Database
from metachat.foundation.ids import ChannelId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import write_secrets
from metachat.operations.keys.installation import Installation
from metachat.operations.secrets import place_of

CREDENTIALS = Credentials("12345", "67890", "an app secret", "an access token", "a verify token")
PROFILE = Profile(
    provider="openai", model="m", api_key="sk-1", fallbacks=(Fallback("ollama", "l", None, "sk-2"),)
)


@dataclass
class House:
    """The installation, and what lies in its database."""

    data: Path
    database: Database
    channels: dict[TenantId, ChannelId] = field(default_factory=dict[TenantId, ChannelId])
    said: list[str] = field(default_factory=list[str])

    def there(self, say: Callable[[str], None] | None = None, patience: float = 5.0) -> Installation:
        """The installation as the command line knows it."""
        place = place_of({"METACHAT_DATA_DIR": str(self.data)})
        return Installation(place, say or self.said.append, patience)

    def ring(self, name: str) -> Keyring:
        """The keys that processes get at their next start."""
        return self.there().ring(name)

    async def fill(self, tenant: TenantId, answered: int = 3) -> None:
        """Seal something in every column."""
        ring = self.ring("encryption_key")
        async with open_scope(self.database, tenant, actor="test") as scope:
            await assistant.set_profile(scope, ring, PROFILE)
            self.channels[tenant] = (await connect(scope, ring, "WhatsApp", CREDENTIALS)).id
            for number in range(answered):
                await answers.keep(scope, f"key-{number}", "hash", answers.Answer(201, b"made"), ring)

    async def is_readable(self, tenant: TenantId, answered: int = 3) -> bool:
        """Whether all of it opens with the keys of the store."""
        ring = self.ring("encryption_key")
        async with open_scope(self.database, tenant, actor="test") as scope:
            profile = await assistant.profile(scope, ring)
            channel = await find(scope, self.channels[tenant])
            recalled = [await answers.recall(scope, f"key-{n}", "hash", ring) for n in range(answered)]
        return (
            (profile.api_key, profile.fallbacks) == (PROFILE.api_key, PROFILE.fallbacks)
            and opened(channel, ring) == CREDENTIALS
            and recalled == [answers.Answer(201, b"made")] * answered
        )

    async def starts(self, role: str) -> key_records.Holding:
        """A process of the platform starts, with the keys that the store has now."""
        names = key_records.NAMES if role == "api" else ("encryption_key",)
        rings = {name: self.ring(name) for name in names}
        return await key_records.hold(self.database, role, rings)

    async def states(self, name: str) -> dict[str, str]:
        """What the database says of the keys of a name."""
        async with self.database.transaction() as db:
            rows = await db.all("SELECT id, state FROM key_records WHERE name = :name", name=name)
        return {row["id"]: row["state"] for row in rows}


@pytest.fixture
async def house(
    tmp_path: Path, databases: Databases, app_db: Database, tenant: TenantId, stranger: TenantId
) -> House:
    """An installation that has run once, with two tenants."""
    keys = {name: secrets.token_urlsafe(32) for name in (*key_records.NAMES, "cli_token")}
    addresses = {
        "database_url": databases.app, "worker_database_url": databases.worker,
        "owner_database_url": databases.owner,
    }  # fmt: skip
    write_secrets(tmp_path, keys | addresses)
    made = House(tmp_path, app_db)
    for owner in (tenant, stranger):
        await made.fill(owner)
    await (await made.starts("api")).close()
    return made
