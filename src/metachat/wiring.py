"""The only place that names adapters: it fills each contract and hands out the running platform."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from metachat.domain.knowledge import Embedder
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.outbound import Outbound
from metachat.foundation.realtime import Announcer, Listener
from metachat.foundation.settings import Secret, Settings


@dataclass(frozen=True)
class Platform:
    """What a process of the platform works with."""

    settings: Settings
    database: Database
    announcer: Announcer
    listener: Listener
    blobs: DiskBlobs
    embedder: Embedder
    outbound: Outbound


@asynccontextmanager
async def open_platform(
    settings: Settings, process: Literal["api", "worker"], *, embedder: Embedder | None = None
) -> AsyncIterator[Platform]:
    """Connect everything a process needs, and let go of it at the end; raises DatabaseAway."""
    dsn = _database_address(settings, process)
    announcer, listener = Announcer(dsn), Listener(dsn)
    database = await Database.open(dsn, size=settings.database_pool, announcer=announcer)
    announcer.start()
    listener.start()
    try:
        yield Platform(
            settings=settings,
            database=database,
            announcer=announcer,
            listener=listener,
            blobs=DiskBlobs(settings.data_dir / "blobs"),
            embedder=embedder or open_embedder(settings),
            outbound=Outbound(allowed_networks=settings.allowed_networks),
        )
    finally:
        await listener.close()
        await announcer.close()
        await database.close()


def open_embedder(settings: Settings) -> Embedder:
    """Choose the embedding model; the bundled one is loaded at its first use only."""
    return BundledEmbedder()


def _database_address(settings: Settings, process: Literal["api", "worker"]) -> str:
    address: Secret | None = settings.database_url if process == "api" else settings.worker_database_url
    assert address is not None, "settings are loaded for the process that uses them"
    return address.reveal()
