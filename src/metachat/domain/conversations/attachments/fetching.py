"""The job "media": a file that a customer sent is fetched from the provider, checked, and stored."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from metachat.domain import channels
from metachat.domain.channels import Channel, Fetched, NotSent, Sender
from metachat.domain.conversations.attachments import store
from metachat.domain.conversations.attachments.actions import Watched, attachment_id
from metachat.domain.conversations.attachments.digests import digest
from metachat.domain.conversations.attachments.model import Attachment, limit_of
from metachat.domain.conversations.attachments.sniffing import objection, plain_type
from metachat.foundation.blobs import DiskBlobs, TooLarge
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log
from metachat.foundation.queue import Job, Retry, enqueue, finish
from metachat.foundation.scope import Scope, open_scope

# So long a provider holds a customer's file for us.
_HELD = timedelta(days=7)
_ATTEMPTS = 6
# A tenant who has to do something first (a token, a payment) is not asked every second.
_TOLD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Depot:
    """What files are fetched with: who fetches for each kind of channel, and where they are kept.

    key opens the channels' credentials; cap is the largest file that the operator allows, in bytes.
    """

    database: Database
    media: DiskBlobs
    senders: Mapping[str, Sender]
    key: Keyring
    cap: int


async def fetch(job: Job, depot: Depot) -> None:
    """Fetch one file: its outcome and the job's end in one transaction; raises Retry."""
    assert job.tenant is not None, "a file belongs to a conversation, and it to a tenant"
    async with open_scope(depot.database, job.tenant, actor="worker") as scope:
        row = await scope.db.one(store.FIND, tenant=scope.tenant, id=attachment_id(job.payload["attachment"]))
        if row is None or row["state"] != "pending":
            await finish(scope.db, job)
            return
        attachment = Attachment(**row)
        channel = await channels.find(scope, attachment.channel_id)
    outcome = await _try(job, depot, channel, attachment)
    async with open_scope(depot.database, job.tenant, actor="worker") as scope:
        if outcome.state == "pending":
            await _wait(scope, job, outcome)
        else:
            await _settle(scope, outcome)
        await finish(scope.db, job)


async def _try(job: Job, depot: Depot, channel: Channel, wanted: Attachment) -> Attachment:
    sender = depot.senders.get(channel.kind)
    if sender is None or wanted.provider_id is None:
        return replace(wanted, state="gone", reason="files of this channel cannot be fetched")
    if now() - wanted.created_at > _HELD:
        return replace(wanted, state="gone", reason="the provider no longer has this file")
    try:
        fetched = await sender.fetch(channel, depot.key, wanted.provider_id)
        return await _store(job, depot, wanted, fetched)
    except TooLarge as refusal:
        return replace(wanted, state="refused", reason=f"the file is larger than allowed: {refusal}")
    except NotSent as failure:
        return _after(job, wanted, failure)


def _after(job: Job, wanted: Attachment, failure: NotSent) -> Attachment:
    if failure.remedy == "tell":
        return replace(wanted, reason=failure.reason[:500])
    if failure.remedy == "give_up" or job.attempts + 1 >= _ATTEMPTS:
        return replace(wanted, state="gone", reason=failure.reason[:500])
    raise Retry(failure.reason, failure.after) from failure


async def _store(job: Job, depot: Depot, wanted: Attachment, fetched: Fetched) -> Attachment:
    limit = limit_of(wanted.form, depot.cap)
    if fetched.size is not None and fetched.size > limit:
        raise TooLarge(f"{fetched.size:,} of at most {limit:,} bytes", limit=limit)
    watched = Watched(fetched.pieces)
    media_type = plain_type(fetched.media_type)
    if media_type == "application/octet-stream":
        media_type = wanted.media_type
    try:
        stored = await depot.media.for_tenant(_tenant(job)).put(watched.stream(), limit=limit)
    finally:
        # A download that was not read to its end holds a connection.
        if isinstance(fetched.pieces, AsyncGenerator):
            await fetched.pieces.aclose()
    told = [wanted.told_sha256, digest(fetched.sha256 or "")]
    if any(one is not None and one != stored.sha256 for one in told):
        if job.attempts + 1 < _ATTEMPTS:
            raise Retry("the file came damaged")
        return replace(wanted, state="refused", reason="the file came damaged, time and again")
    if reason := objection(wanted.form, media_type, watched.head):
        log.info("a customer's file was refused", attachment=str(wanted.id), reason=reason)
        return replace(wanted, state="refused", reason=reason)
    return replace(
        wanted, state="stored", sha256=stored.sha256, size=stored.size, media_type=media_type, reason=""
    )


async def _wait(scope: Scope, job: Job, waiting: Attachment) -> None:
    values = {"tenant": scope.tenant, "id": waiting.id, "reason": waiting.reason}
    await scope.db.execute(store.NOTE, **values)
    await enqueue(
        scope.db, "media", job.payload, lane=job.lane, tenant=scope.tenant, run_at=scope.now + _TOLD
    )


async def _settle(scope: Scope, outcome: Attachment) -> None:
    settled = {
        "state": outcome.state, "reason": outcome.reason[:500], "sha256": outcome.sha256,
        "size": outcome.size, "media_type": outcome.media_type,
    }  # fmt: skip
    await scope.db.execute(store.SETTLE, tenant=scope.tenant, id=outcome.id, **settled)
    row = await scope.db.one(store.SEQ_OF, tenant=scope.tenant, message=outcome.message_id)
    if row is not None:
        news: dict[str, Any] = {"type": "message", "id": str(outcome.message_id), "seq": row["seq"]}
        scope.db.announce(f"conversation:{row['conversation_id']}", news)


def _tenant(job: Job) -> TenantId:
    assert job.tenant is not None, "checked at the beginning"
    return job.tenant
