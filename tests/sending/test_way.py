"""A customer writes on WhatsApp, and gets the answer there."""

from tests.sending.conftest import ANA, Shop

from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope


async def test_a_question_is_answered_on_the_phone(shop: Shop, stranger: TenantId) -> None:
    async with shop.worker():
        await shop.says(ANA, "How long does delivery take?")
        (text,) = await shop.received(1)
        assert "two working days" in text
        (row,) = await shop.until("SELECT * FROM messages WHERE status IN ('sent', 'delivered', 'read')")
    (arrived,) = shop.meta.arrivals()
    assert (row["provider_id"], str(row["id"])) == (arrived.id, arrived.callback_data)
    assert arrived.phone == ANA
    assert not await shop.rows("SELECT * FROM deliveries")
    assert not await shop.rows("SELECT * FROM jobs WHERE kind = 'deliver'")
    async with open_scope(shop.platform.database, stranger, actor="test") as scope:
        assert not await scope.db.all("SELECT id FROM messages")
