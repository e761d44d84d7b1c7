"""The job "sweep-media": bytes that no file names any more are deleted, a day's at a time."""

from datetime import timedelta

from metachat.domain.conversations.attachments.actions import forget_unsent, unnamed
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.log import log
from metachat.foundation.queue import Job, enqueue, finish
from metachat.foundation.scope import open_scope

_SWEEP = "sweep-media"
# Bytes are stored before their row is committed; only what lies there for so long is nobody's.
_SETTLED = timedelta(hours=1)


async def sweep_daily(database: Database) -> None:
    """See to it that bytes are swept; asking again changes nothing."""
    async with database.transaction() as db:
        await enqueue(db, _SWEEP, {}, lane=_SWEEP, tenant=None, dedupe_key=_SWEEP)


async def sweep(job: Job, database: Database, media: DiskBlobs) -> None:
    """Delete what nobody names any more, tenant by tenant, and come again tomorrow."""
    deleted = 0
    for tenant in await media.tenants():
        deleted += await _sweep_tenant(database, tenant, media.for_tenant(tenant))
    if deleted:
        log.info("swept media", deleted=deleted)
    async with database.transaction() as db:
        again = now() + timedelta(days=1)
        await enqueue(db, _SWEEP, {}, lane=_SWEEP, tenant=None, dedupe_key=_SWEEP, run_at=again)
        await finish(db, job)


async def _sweep_tenant(database: Database, tenant: TenantId, blobs: DiskBlobs) -> int:
    async with open_scope(database, tenant, actor="worker") as scope:
        await forget_unsent(scope)
    deleted = 0
    async for contents in blobs.older_than(_SETTLED):
        async with open_scope(database, tenant, actor="worker") as scope:
            orphans = await unnamed(scope, contents)
        for sha256 in orphans:
            # Stored again since? Then its age has begun anew, and somebody is about to name it.
            deleted += await blobs.delete_older(sha256, _SETTLED)
    return deleted
