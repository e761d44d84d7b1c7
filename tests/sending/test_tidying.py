"""What deliveries leave behind is forgotten, whosesoever it is, and what is young stays."""

from tests.sending.conftest import Shop

from metachat.domain import conversations
from metachat.domain.conversations import arrivals
from metachat.domain.conversations.deliveries import failing
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.queue import Job, store
from metachat.foundation.queue.model import Lease


async def test_old_receipts_and_idle_limits_go_with_the_daily_tidying(
    shop: Shop, worker_db: Database, stranger: TenantId
) -> None:
    await shop.rows(
        "INSERT INTO receipts (tenant_id, channel_id, provider_id, status, at) VALUES"
        " ($1, $2, 'old', 'read', now() - interval '31 days'), ($1, $2, 'young', 'read', now())",
        shop.tenant, shop.channel.id,
    )  # fmt: skip
    await shop.rows(
        "INSERT INTO paces VALUES ('idle', extract(epoch FROM now()) - 90000, 1, 1, 1),"
        " ('busy', extract(epoch FROM now()), 1, 1, 1)"
    )
    # Nobody else sees another tenant's receipts by that, and the worker only the old ones.
    async with worker_db.transaction(tenant=stranger) as db:
        assert [row["provider_id"] for row in await db.all("SELECT provider_id FROM receipts")] == ["old"]
    async with shop.platform.database.transaction(tenant=stranger) as db:
        assert not await db.all("SELECT provider_id FROM receipts")
    await arrivals.tidy_daily(worker_db)
    async with worker_db.transaction() as db:
        (row,) = await db.all("SELECT id, lane FROM jobs WHERE kind = 'tidy-inbox'")
        await store.claim(db, "me:1:1.1", [row["lane"]], 60)
    job = Job(row["id"], row["lane"], "tidy-inbox", None, {}, 0, 0, None, Lease(row["lane"], "me:1:1.1"))
    await arrivals.forget_old(job, worker_db)
    assert [row["provider_id"] for row in await shop.rows("SELECT provider_id FROM receipts")] == ["young"]
    assert [row["key"] for row in await shop.rows("SELECT key FROM paces")] == ["busy"]


async def test_a_message_whose_job_was_laid_aside_fails_where_people_see_it(
    shop: Shop, worker_db: Database, stranger: TenantId
) -> None:
    async with shop.scope() as scope:
        talk = await conversations.start(scope, shop.channel.id, "385911234567")
    lost, waits, young = [await shop.answers(talk.id, text) for text in ("Lost", "Waits", "Young")]
    await shop.rows(
        "UPDATE deliveries SET created_at = now() - interval '11 minutes' WHERE message_id <> $1", young.id
    )
    await shop.rows("DELETE FROM jobs WHERE payload->>'message' IN ($1, $2)", str(lost.id), str(young.id))
    # Where no tenant is named, the api still sees none of them.
    async with shop.platform.database.transaction(tenant=stranger) as db:
        assert not await db.all("SELECT message_id FROM deliveries")
    await failing.look_often(worker_db)
    async with worker_db.transaction() as db:
        (row,) = await db.all("SELECT id, lane FROM jobs WHERE kind = 'lost-deliveries'")
        await store.claim(db, "me:1:1.1", [row["lane"]], 60)
        await db.execute(store.START, id=row["id"])
    lease = Lease(row["lane"], "me:1:1.1")
    job = Job(row["id"], row["lane"], "lost-deliveries", None, {}, 0, 0, None, lease)
    await failing.fail_lost(job, worker_db)
    status = {said["id"]: said["status"] for said in await shop.ours()}
    assert (status[lost.id], status[waits.id], status[young.id]) == ("failed", "queued", "queued")
    assert len(await shop.rows("SELECT FROM jobs WHERE kind = 'lost-deliveries' AND run_at > now()")) == 1
    (told,) = await shop.rows("SELECT data FROM events WHERE kind = 'message.status'")
    assert "laid aside" in told["data"]
