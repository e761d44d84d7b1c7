"""What deliveries leave behind is forgotten, whosesoever it is, and what is young stays."""

from tests.sending.conftest import Shop

from metachat.domain.conversations import arrivals
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
