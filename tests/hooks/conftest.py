"""A shop with a WhatsApp channel, its door, and a worker that understands what was delivered."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import asyncpg
import httpx
import pytest
from tests.conftest import Databases
from tests.hooks import meta

from metachat.domain.channels import Channel
from metachat.domain.channels.whatsapp import Credentials, connect
from metachat.domain.conversations import arrivals
from metachat.domain.conversations.together.arrivals import Reception
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.queue import Job, store
from metachat.foundation.queue.model import Lease, Places
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import PROVIDERS, Platform, open_platform


@pytest.fixture
async def platform(as_environment: dict[str, str]) -> AsyncIterator[Platform]:
    """The platform as an api process opens it."""
    async with open_platform(load(as_environment, "api"), "api") as opened:
        yield opened


@dataclass
class Shop:
    """A tenant with a WhatsApp channel, seen from both sides."""

    platform: Platform
    worker: Database
    tenant: TenantId
    channel: Channel
    client: httpx.AsyncClient
    superuser: str
    places: Places | None = None

    @cached_property
    def reception(self) -> Reception:
        """What takes in for this worker."""
        return Reception(self.worker, PROVIDERS)

    async def take_in(self, job: Job) -> None:
        """Understand what waits in a lane, together with what other lanes bring."""
        await self.reception.take_in(job)

    @property
    def address(self) -> str:
        """Where Meta delivers."""
        return f"/hooks/whatsapp/{self.channel.id}"

    async def deliver(self, *changes: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """Deliver a webhook of these changes, signed."""
        return await self.send(meta.webhook(*changes), headers)

    async def send(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """Deliver a body, signed unless headers are given."""
        given = meta.signed(body) if headers is None else headers
        return await self.client.post(self.address, content=body, headers=given)

    async def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Look at the database past every wall."""
        connection = await asyncpg.connect(self.superuser)
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()

    async def inbox(self) -> list[dict[str, Any]]:
        """What the inbox holds, in its order."""
        return await self.rows("SELECT * FROM inbox ORDER BY id")

    async def messages(self) -> list[dict[str, Any]]:
        """What customers and the shop said."""
        return await self.rows("SELECT * FROM messages ORDER BY conversation_id, seq")

    async def work(self, *, later: bool = False) -> None:
        """Run every inbox job that is due, as a worker would; with later those that are due later first."""
        if later:
            await self.rows("UPDATE jobs SET run_at = now() WHERE kind IN ('late', 'inbox')")
        while True:
            async with self.worker.transaction() as db:
                rows = await db.all(
                    "SELECT lane FROM jobs WHERE kind IN ('late', 'inbox') AND run_at <= now() "
                    "GROUP BY lane ORDER BY lane"
                )
                lanes = [row["lane"] for row in rows]
                await store.claim(db, "me:1:1.1", lanes, 60)
            if not lanes:
                return
            await asyncio.gather(*(self.work_off(lane) for lane in lanes))
            async with self.worker.transaction() as db:
                await db.execute(store.LEAVE_ALL, owner="me:1:1.1")

    async def work_off(self, lane: str) -> None:
        """Run one lane's jobs."""
        async with self.worker.transaction() as db:
            found = await db.all(
                "SELECT id, kind, payload FROM jobs WHERE lane = :lane AND kind IN ('late', 'inbox') "
                "AND run_at <= now() ORDER BY id",
                lane=lane,
            )
        for row in found:
            lease = Lease(lane, "me:1:1.1", places=self.places)
            job = Job(row["id"], lane, row["kind"], self.tenant, row["payload"], 0, 0, None, lease)
            if row["kind"] == "late":
                await arrivals.try_again(job, self.worker)
            else:
                await self.take_in(job)


@pytest.fixture
async def shop(
    platform: Platform, worker_db: Database, tenant: TenantId, databases: Databases
) -> AsyncIterator[Shop]:
    """The shop whose story it is."""
    async with open_scope(platform.database, tenant, actor="test") as scope:
        credentials = Credentials(
            phone_number_id=meta.NUMBER, app_secret=meta.SECRET, verify_token=meta.TOKEN, access_token="EAA"
        )
        channel = await connect(scope, platform.encryption_key, "WhatsApp", credentials)
    transport = httpx.ASGITransport(cast(Any, create_app(platform)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        yield Shop(platform, worker_db, tenant, channel, client, databases.superuser)
