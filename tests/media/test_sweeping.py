"""Bytes live as long as somebody names them: nothing is deleted too early, nothing stays for ever."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import add_tenant

from metachat.domain import accounts, channels, conversations
from metachat.domain.accounts import Role
from metachat.domain.conversations import attachments
from metachat.domain.conversations.attachments import Attachment, sweeping
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.queue import Job
from metachat.foundation.queue.model import Lease
from metachat.foundation.queue.store import claim, enqueue
from metachat.foundation.scope import open_scope

CAP = 1_000_000
OLD = 2 * 3600


async def bytes_of(content: bytes) -> AsyncIterator[bytes]:
    """A file as it arrives."""
    yield content


class House:
    """A tenant with a conversation, and a storage."""

    def __init__(self, worker: Database, tenant: TenantId, root: Path) -> None:
        self.worker, self.tenant, self.media = worker, tenant, DiskBlobs(root)
        self.talk = ConversationId(tenant)

    async def begin(self) -> "House":
        """Open the conversation."""
        async with open_scope(self.worker, self.tenant, actor="test") as scope:
            channel = await channels.create(scope, "webchat", "Shop")
            self.talk = (await conversations.start(scope, channel.id, "ana")).id
        return self

    async def uploads(self, content: bytes, name: str = "a.txt") -> Attachment:
        """Upload a file."""
        blobs = self.media.for_tenant(self.tenant)
        uploaded = await attachments.receive(blobs, name, bytes_of(content), cap=CAP)
        async with open_scope(self.worker, self.tenant, actor="test") as scope:
            return await attachments.add(scope, self.talk, uploaded)

    def grows_old(self) -> None:
        """Everything was stored some hours ago."""
        for path in self.media.for_tenant(self.tenant)._root.rglob("*"):
            if path.is_file():
                then = path.stat().st_mtime - OLD
                os.utime(path, (then, then))

    async def runs(self, sql: str, **values: Any) -> None:
        """Change the database."""
        async with open_scope(self.worker, self.tenant, actor="test") as scope:
            await scope.db.execute(sql, tenant=self.tenant, **values)

    def has(self, file: Attachment) -> bool:
        """Whether the bytes are there."""
        assert file.sha256 is not None
        return self.media.for_tenant(self.tenant).path(file.sha256).exists()


async def sweeps(worker: Database, media: DiskBlobs) -> None:
    """The daily sweep runs."""
    lane = Lease("sweep-media", "me:1:1.1")
    async with worker.transaction() as db:
        await enqueue(db, "sweep-media", {}, lane=lane.lane, tenant=None)
        await claim(db, lane.owner, [lane.lane], 60)
        id = await db.value("SELECT min(id) FROM jobs WHERE kind = 'sweep-media'")
    await sweeping.sweep(Job(id, lane.lane, "sweep-media", None, {}, 0, 0, None, lane), worker, media)
    async with worker.transaction() as db:
        await db.execute("DELETE FROM jobs")
        await db.execute("DELETE FROM lanes")


@pytest.fixture
async def house(worker_db: Database, tenant: TenantId, tmp_path: Path) -> House:
    """The tenant whose story it is."""
    return await House(worker_db, tenant, tmp_path / "media").begin()


async def test_bytes_go_when_the_last_who_names_them_goes(house: House) -> None:
    first, second, other = [await house.uploads(content) for content in (b"same", b"same", b"other")]
    house.grows_old()
    await house.runs("DELETE FROM attachments WHERE tenant_id = :tenant AND id = :id", id=first.id)
    await sweeps(house.worker, house.media)
    assert house.has(second)
    await house.runs("DELETE FROM attachments WHERE tenant_id = :tenant AND id = :id", id=second.id)
    await sweeps(house.worker, house.media)
    assert not house.has(second)
    assert house.has(other)


async def test_a_deleted_conversation_takes_its_files_along(house: House, stranger: TenantId) -> None:
    theirs = await House(house.worker, stranger, house.media._root).begin()
    kept, gone = await theirs.uploads(b"same"), await house.uploads(b"same")
    house.grows_old()
    theirs.grows_old()
    await house.runs("DELETE FROM conversations WHERE tenant_id = :tenant")
    await sweeps(house.worker, house.media)
    assert not house.has(gone)
    assert theirs.has(kept)


async def test_what_was_just_stored_is_left_alone(house: House) -> None:
    file = await house.uploads(b"just now")
    await house.runs("DELETE FROM attachments WHERE tenant_id = :tenant")
    await sweeps(house.worker, house.media)
    assert house.has(file)
    # Stored again, its age begins anew.
    house.grows_old()
    await house.uploads(b"just now")
    await house.runs("DELETE FROM attachments WHERE tenant_id = :tenant")
    await sweeps(house.worker, house.media)
    assert house.has(file)


async def test_what_is_never_sent_is_forgotten_after_a_day(house: House) -> None:
    unsent = await house.uploads(b"draft")
    house.grows_old()
    await sweeps(house.worker, house.media)
    assert house.has(unsent)
    await house.runs(
        "UPDATE attachments SET created_at = now() - interval '25 hours' WHERE tenant_id = :tenant"
    )
    await sweeps(house.worker, house.media)
    assert not house.has(unsent)


async def test_the_next_sweep_is_planned(worker_db: Database, tmp_path: Path) -> None:
    media = DiskBlobs(tmp_path / "nothing")
    for _ in range(2):
        await sweeping.sweep_daily(worker_db)
    async with worker_db.transaction() as db:
        rows = await db.all("SELECT id FROM jobs WHERE kind = 'sweep-media'")
        assert len(rows) == 1
    assert await media.tenants() == []


async def test_an_upload_and_a_sweep_at_once_lose_nothing(house: House, app_db: Database) -> None:
    await add_tenant(app_db, "third")
    files = await asyncio.gather(*(house.uploads(f"n {n}".encode()) for n in range(20)))
    house.grows_old()
    await house.runs("DELETE FROM attachments WHERE tenant_id = :tenant")
    again, _ = await asyncio.gather(
        asyncio.gather(*(house.uploads(f"n {n}".encode()) for n in range(20))),
        sweeps(house.worker, house.media),
    )
    assert all(house.has(file) for file in again)
    assert len(files) == 20


async def test_a_channel_of_words_alone_takes_no_file(house: House, app_db: Database) -> None:
    person = await accounts.hash_first_password("correct horse battery")
    async with open_scope(app_db, house.tenant, actor="test") as scope:
        who = ("ana@acme.example", "Ana")
        made = await accounts.add_member(scope, who, Role.AGENT, by=Role.OWNER, first_password=person)
    file = await house.uploads(b"hello")
    async with open_scope(house.worker, house.tenant, actor="test") as scope:
        with pytest.raises(conversations.FilelessChannel):
            await conversations.agent_sends(scope, house.talk, file.id, "", agent=made.member.id)
