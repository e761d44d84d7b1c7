"""A knowledge base for the tests: a workshop on real Postgres, and a helper that uploads and indexes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from metachat.domain import knowledge
from metachat.domain.knowledge import Document, Passage
from metachat.domain.knowledge.indexing import Workshop, forget, index
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import DocumentId, TenantId
from metachat.foundation.scope import open_scope
from tests.knowledge.scripted import ScriptedEmbedder


async def stream(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """Bytes as they come from the network."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@dataclass
class Library:
    """One tenant's knowledge, as the api and the worker together see it."""

    tenant: TenantId
    app: Database
    workshop: Workshop
    embedder: ScriptedEmbedder

    async def upload(self, name: str, data: bytes, *, limit: int = 50 * 1024 * 1024) -> Document:
        """Receive a file and make a document of it, as the api does."""
        blobs = self.workshop.blobs
        received = await knowledge.receive(blobs.for_tenant(self.tenant), name, stream(data), limit=limit)
        async with open_scope(self.app, self.tenant, actor="cli") as scope:
            return await knowledge.add(scope, blobs, received)

    async def work(self) -> None:
        """Do every job that waits for this tenant, in order, as the worker does."""
        while job := await self._take():
            if job["kind"] == "index":
                await index(self.workshop, self.tenant, DocumentId(UUID(job["payload"]["document"])))
            else:
                await forget(self.workshop, self.tenant, job["payload"]["sha256"])

    async def learn(self, name: str, data: bytes) -> Document:
        """Upload a file, index it, and tell how it went."""
        document = await self.upload(name, data)
        await self.work()
        return await self.find(document.id)

    async def find(self, document: DocumentId) -> Document:
        """Look a document up."""
        async with open_scope(self.app, self.tenant, actor="cli") as scope:
            return await knowledge.find_document(scope, document)

    async def delete(self, document: DocumentId) -> None:
        """Delete a document and what belongs to it."""
        async with open_scope(self.app, self.tenant, actor="cli") as scope:
            await knowledge.delete_document(scope, document)
        await self.work()

    async def search(self, question: str, limit: int = 8) -> list[Passage]:
        """Search with the library's embedder."""
        async with open_scope(self.app, self.tenant, actor="cli") as scope:
            return await knowledge.search(scope, self.embedder, question, limit=limit)

    def stored(self) -> list[Path]:
        """The files that lie on disk for this tenant."""
        root = self.workshop.blobs.for_tenant(self.tenant).path("00").parent.parent
        return [path for path in root.rglob("*") if path.is_file()]

    async def count(self, table: str) -> int:
        """Count the tenant's rows of a table."""
        async with open_scope(self.app, self.tenant, actor="cli") as scope:
            return int(await scope.db.value(f"SELECT count(*) FROM {table}"))

    async def _take(self) -> dict[str, Any] | None:
        async with self.workshop.database.transaction() as db:
            return await db.one(
                "DELETE FROM jobs WHERE id = (SELECT min(id) FROM jobs WHERE tenant_id = :tenant)"
                " RETURNING kind, payload",
                tenant=self.tenant,
            )


def library_of(tenant: TenantId, app: Database, worker: Database, blobs: Path) -> Library:
    """Open a tenant's library."""
    embedder = ScriptedEmbedder()
    workshop = Workshop(worker, DiskBlobs(blobs), embedder, asyncio.Semaphore(1))
    return Library(tenant, app, workshop, embedder)


@pytest.fixture
def library(tenant: TenantId, app_db: Database, worker_db: Database, tmp_path: Path) -> Library:
    """The tenant's knowledge."""
    return library_of(tenant, app_db, worker_db, tmp_path / "blobs")


@pytest.fixture
def other_library(stranger: TenantId, app_db: Database, worker_db: Database, tmp_path: Path) -> Library:
    """The stranger's knowledge, in the same store."""
    return library_of(stranger, app_db, worker_db, tmp_path / "blobs")
