"""Messages that will not be delivered: they fail where people see it, with the reason."""

from datetime import timedelta

from metachat.domain import events
from metachat.domain.conversations import progress
from metachat.domain.conversations.deliveries import store
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.ids import MessageId
from metachat.foundation.log import log
from metachat.foundation.queue import Job, enqueue, finish
from metachat.foundation.scope import Scope, open_scope

_JOB = "lost-deliveries"
_EVERY = timedelta(minutes=5)
_LAID_ASIDE = {
    "code": "",
    "reason": "Sending it broke off over and over and was laid aside; see the worker's log.",
    "remedy": "give_up",
}


async def fail(scope: Scope, message: MessageId, failed: dict[str, str]) -> None:
    """End a delivery as failed; one that is over already stays as it is."""
    row = await scope.db.one(store.FAIL, tenant=scope.tenant, message=message, failed=failed)
    if row is None:
        return
    await events.record(
        scope, "message.status",
        subject=row["conversation_id"], message=str(row["id"]), status="failed", failed=failed,
    )  # fmt: skip
    progress.tell(scope.db, scope.tenant, row)


async def look_often(database: Database) -> None:
    """See to it that lost deliveries are found; asking again changes nothing."""
    async with database.transaction() as db:
        await enqueue(db, _JOB, {}, lane=_JOB, tenant=None, dedupe_key=_JOB)


async def fail_lost(job: Job, database: Database) -> None:
    """Fail the messages whose jobs the queue has laid aside, and come again."""
    async with database.transaction() as db:
        lost = await db.all(store.LOST)
    for row in lost:
        log.error("a delivery was laid aside", message=str(row["message_id"]))
        async with open_scope(database, row["tenant_id"], actor="worker") as scope:
            await fail(scope, row["message_id"], _LAID_ASIDE)
    async with database.transaction() as db:
        await enqueue(db, _JOB, {}, lane=_JOB, tenant=None, dedupe_key=_JOB, run_at=now() + _EVERY)
        await finish(db, job)
