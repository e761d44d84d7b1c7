"""A shop on WhatsApp: a simulated Meta, the real door on a real socket, and a real worker."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import asyncpg
import pytest
import uvicorn
from tests.chat.house import Scripted, desk
from tests.conftest import Databases

from metachat import simulate, wiring
from metachat.domain import channels
from metachat.domain.channels import Channel
from metachat.domain.channels.whatsapp import Credentials, connect
from metachat.domain.conversations import Message, Reply, writing
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.queue import Limits, Loop
from metachat.foundation.scope import Scope, open_scope
from metachat.foundation.settings import Settings, load
from metachat.simulate import Account, Meta
from metachat.web import hooks
from metachat.web.drain import Drain
from metachat.web.metrics import Metrics
from metachat.wiring import Platform, open_platform

ANA = "385911234567"


@dataclass
class Shop:
    """A tenant with a WhatsApp channel, seen from all sides."""

    meta: Meta
    account: Account
    settings: Settings
    environment: dict[str, str]
    platform: Platform
    tenant: TenantId
    channel: Channel
    address: str
    superuser: str

    async def says(self, phone: str, text: str) -> None:
        """A customer writes."""
        await asyncio.to_thread(self.meta.says, phone, text, account=self.account.phone_number_id)

    async def greeted(self, phone: str = ANA) -> ConversationId:
        """A customer writes, and is handed to the team: the assistant stays out of it. Needs a worker."""
        before = len(await asyncio.to_thread(self.at_phones, phone))
        await self.says(phone, "Can I talk to a human?")
        await self.received(before + 1, phone)
        (row,) = await self.rows(
            "SELECT c.id FROM conversations c JOIN contacts p ON p.id = c.contact_id"
            " WHERE p.phone = $1 OR p.external_id = $1", phone,
        )  # fmt: skip
        return ConversationId(row["id"])

    async def answers(self, id: ConversationId, text: str, **detail: Any) -> Message:
        """The team says something."""
        async with self.scope() as scope:
            conversation = await writing.lock(scope, id)
            return await writing.add_message(scope, conversation, Reply(text, author="agent", detail=detail))

    async def came_to(self, message: Message, status: str, within: float = 15) -> dict[str, Any]:
        """Wait until a message has come as far as this status; gives its row, with its detail read."""
        sql = (
            "SELECT * FROM messages WHERE id = $1 AND status_rank(status) >= status_rank($2)"
            " AND (status = $2 OR status <> 'failed')"
        )
        (row,) = await self.until(sql, message.id, status, within=within)
        return {**row, "detail": json.loads(row["detail"])}

    async def received(self, count: int, phone: str | None = None, within: float = 15) -> list[str]:
        """Wait until phones have received so many texts from the shop, and give them."""

        def look() -> list[str]:
            found = self.at_phones(phone)
            return found if len(found) >= count else []

        return await self.meta.eventually(look, within)

    def at_phones(self, phone: str | None = None) -> list[str]:
        """The texts that phones have received from the shop, in order."""
        return [
            seen.text for seen in self.meta.arrivals()
            if seen.account == self.account.phone_number_id and phone in (None, seen.phone)
        ]  # fmt: skip

    async def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Look at the database past every wall."""
        connection = await asyncpg.connect(self.superuser)
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    async def until(self, sql: str, *values: Any, within: float = 15) -> list[dict[str, Any]]:
        """Wait until there are such rows."""
        async with asyncio.timeout(within):
            while not (found := await self.rows(sql, *values)):
                await asyncio.sleep(0.02)
        return found

    async def ours(self) -> list[dict[str, Any]]:
        """What the shop said, oldest first, with its detail read."""
        rows = await self.rows("SELECT * FROM messages WHERE author <> 'customer' ORDER BY created_at, seq")
        return [{**row, "detail": json.loads(row["detail"])} for row in rows]

    async def set(self, **changes: Any) -> None:
        """Change the channel's settings."""
        async with self.scope() as scope:
            now = await channels.find(scope, self.channel.id)
            settings = {**now.settings, **changes}
            self.channel = await channels.configure(
                scope, now.id, name=now.name, settings=settings, status="active"
            )

    @asynccontextmanager
    async def scope(self) -> AsyncIterator[Scope]:
        """Act for the tenant."""
        async with open_scope(self.platform.database, self.tenant, actor="test") as scope:
            yield scope

    @asynccontextmanager
    async def worker(self, *, outcome_wait: float = 0.5, **limits: Any) -> AsyncIterator[Platform]:
        """Have a worker at work until this is left."""
        async with open_platform(self.settings, "worker") as platform:
            begun, answering = platform.courtesy.show, platform.office.foresee
            platform.__dict__["desk"] = desk(platform.database, Scripted(), begun=begun, answering=answering)
            platform.office.outcome_wait = outcome_wait
            bounds = replace(Limits(sweep=0.3, drain=2), **limits)
            loop = Loop(platform.database, platform.listener, wiring.HANDLERS, platform, bounds)
            stop = asyncio.Event()
            running = asyncio.create_task(loop.run(stop))
            try:
                yield platform
            finally:
                stop.set()
                await running


@pytest.fixture
def meta() -> Iterator[Meta]:
    """A simulated Meta."""
    with simulate.thread() as running:
        yield running


@pytest.fixture
async def shop(
    meta: Meta, as_environment: dict[str, str], tenant: TenantId, databases: Databases
) -> AsyncIterator[Shop]:
    """The shop whose story it is."""
    environment = {**as_environment, "METACHAT_GRAPH_URL": meta.address}
    settings = load(environment, "worker")
    async with open_platform(load(environment, "api"), "api") as platform, serving(platform) as address:
        async with open_scope(platform.database, tenant, actor="test") as scope:
            channel = await connected(scope, platform, meta.account)
        await asyncio.to_thread(meta.connect, f"{address}/hooks/whatsapp/{channel.id}")
        yield Shop(
            meta, meta.account, settings, environment, platform, tenant, channel, address, databases.superuser
        )


async def connected(scope: Scope, platform: Platform, account: Account) -> Channel:
    """Open the channel of an account."""
    credentials = Credentials(
        phone_number_id=account.phone_number_id, business_account_id=account.waba_id,
        app_secret=account.app_secret, access_token=account.access_token, verify_token=account.verify_token,
    )  # fmt: skip
    channel = await connect(scope, platform.encryption_key, "WhatsApp", credentials)
    settings = {**channel.settings, "quiet_seconds": 0}
    return await channels.configure(scope, channel.id, name="WhatsApp", settings=settings, status="active")


@asynccontextmanager
async def serving(platform: Platform) -> AsyncIterator[str]:
    """The providers' door on a port of its own; gives its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    door = hooks.door(platform, Metrics(Drain(), platform.database))
    config = uvicorn.Config(cast(Any, door), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    with contextlib.ExitStack() as stack:
        stack.callback(listening.close)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
