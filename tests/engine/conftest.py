"""A shop that customers write to by telephone, and workers that answer them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from tests.conftest import Databases

from metachat.domain import channels, conversations
from metachat.domain.channels import Channel, ChannelKind, Inbound
from metachat.domain.conversations import Gathered, Message
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.scope import open_scope


async def eventually(condition: Callable[[], Awaitable[Any]], within: float = 30) -> Any:
    """Wait until a condition holds, and fail when it doesn't come true in time."""
    async with asyncio.timeout(within):
        while not (value := await condition()):
            await asyncio.sleep(0.02)
    return value


@dataclass
class Line:
    """One channel of a tenant, seen from the customers' side and from the database's."""

    database: Database
    superuser: str
    tenant: TenantId
    channel: Channel

    async def writes(
        self, text: str, who: str = "ana", key: str | None = None, at: datetime | None = None
    ) -> Message:
        """Take in a message as its provider delivers it."""
        inbound = Inbound(self.channel.id, who, key or f"{who}:{text}", text, provider_at=at)
        async with open_scope(self.database, self.tenant, actor="worker") as scope:
            return await conversations.receive(scope, inbound)

    async def transcript(self, id: ConversationId) -> list[Message]:
        """What was said, in the order of its arrival."""
        async with open_scope(self.database, self.tenant, actor="cli") as scope:
            return await conversations.transcript(scope, id)

    async def gathered(self, id: ConversationId) -> Gathered:
        """What the next turn would answer."""
        async with open_scope(self.database, self.tenant, actor="worker") as scope:
            found = await conversations.gather(scope, id)
        assert found is not None
        return found

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """Look at the database past every wall."""
        connection = await asyncpg.connect(self.superuser)
        try:
            return list(await connection.fetch(sql, *values))
        finally:
            await connection.close()

    async def is_idle(self) -> bool:
        """No turn is left to take."""
        return not await self.rows("SELECT 1 FROM jobs WHERE kind = 'turn' LIMIT 1")

    async def replies(self, id: ConversationId) -> list[Message]:
        """What the assistant said."""
        return [message for message in await self.transcript(id) if message.author == "assistant"]


@pytest.fixture
async def open_line(databases: Databases, tenant: TenantId) -> AsyncIterator[Callable[..., Awaitable[Line]]]:
    """Opens channels whose news reach the workers."""
    announcer = Announcer(databases.app)
    announcer.start()
    database = await Database.open(databases.app, announcer=announcer)

    async def open_one(kind: ChannelKind = "whatsapp", of: TenantId | None = None, **settings: Any) -> Line:
        async with open_scope(database, of or tenant, actor="cli") as scope:
            channel = await channels.create(scope, kind, "Shop", settings)
        return Line(database, databases.superuser, of or tenant, channel)

    yield open_one
    await database.close()
    await announcer.close()
