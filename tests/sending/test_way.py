"""A customer writes on WhatsApp, and gets the answer there."""

import re
from collections.abc import AsyncIterator
from typing import Any

from tests.sending.conftest import ANA, Shop

from metachat.domain import channels, conversations
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope


async def test_a_question_is_answered_on_the_phone(shop: Shop, stranger: TenantId) -> None:
    async with shop.worker():
        await shop.says(ANA, "How long does delivery take?")
        (text,) = await shop.received(1)
        assert "two working days" in text
        assert "[1]" in text
        assert re.search(r"\n\[1\] \S+", text), "a telephone shows which document the mark stands for"
        (row,) = await shop.until("SELECT * FROM messages WHERE status IN ('sent', 'delivered', 'read')")
    (arrived,) = shop.meta.arrivals()
    assert (row["provider_id"], str(row["id"])) == (arrived.id, arrived.callback_data)
    assert arrived.phone == ANA
    assert not await shop.rows("SELECT * FROM deliveries")
    assert not await shop.rows("SELECT * FROM jobs WHERE kind = 'deliver'")
    async with open_scope(shop.platform.database, stranger, actor="test") as scope:
        assert not await scope.db.all("SELECT id FROM messages")


async def a_file(shop: Shop, content: bytes, media_type: str, name: str) -> dict[str, Any]:
    """Put a file into the tenant's storage; gives it as a message's detail names it."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content

    stored = await shop.platform.media.for_tenant(shop.tenant).put(chunks(), limit=10_000_000)
    return {"sha256": stored.sha256, "size": stored.size, "media_type": media_type, "name": name}


async def test_a_file_is_uploaded_once_and_sent_often(shop: Shop) -> None:
    sheet = await a_file(shop, b"%PDF-1.7 sizes", "application/pdf", "sizes.pdf")
    async with shop.worker():
        id = await shop.greeted()
        await shop.answers(id, "Our sizes", attachment=sheet, form="document")
        last = await shop.answers(id, "[document]", attachment=sheet, form="document", wordless=True)
        await shop.came_to(last, "sent")
    first, second = shop.meta.arrivals()[1:]
    assert (first.type, first.body["filename"], first.body["caption"]) == (
        "document", "sizes.pdf", "Our sizes",
    )  # fmt: skip
    assert second.body["id"] == first.body["id"]
    assert "caption" not in second.body


async def test_a_file_that_is_gone_fails_its_message_alone(shop: Shop) -> None:
    gone = {"sha256": "ab" * 32, "size": 3, "media_type": "application/pdf", "name": "gone.pdf"}
    async with shop.worker():
        id = await shop.greeted()
        lost = await shop.answers(id, "Here", attachment=gone, form="document")
        row = await shop.came_to(lost, "failed")
        await shop.came_to(await shop.answers(id, "Sorry"), "sent")
    assert "no longer there" in row["detail"]["failed"]["reason"]


async def test_an_upload_that_fails_in_passing_is_tried_again(shop: Shop) -> None:
    sheet = await a_file(shop, b"%PDF-1.7 sizes", "application/pdf", "sizes.pdf")
    shop.meta.fails("status", code=503, where="media", times=1)
    async with shop.worker(outcome_wait=60):  # nothing was sent yet: there is nothing to wait for
        id = await shop.greeted()
        await shop.came_to(await shop.answers(id, "Here", attachment=sheet, form="document"), "sent")
    assert [seen.type for seen in shop.meta.arrivals()] == ["text", "document"]


async def test_an_answer_quotes_and_offers_choices(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        asked = shop.meta.sent()[0].id
        await shop.answers(id, "Which size?", reply_to=asked, choices=["Two", "Three"])
        await shop.received(2)
    arrived = shop.meta.arrivals()[-1]
    assert (arrived.type, arrived.reply_to) == ("interactive", asked)
    assert [button["reply"]["title"] for button in arrived.body["action"]["buttons"]] == ["Two", "Three"]


async def test_what_is_said_on_the_website_is_sent_at_once(shop: Shop) -> None:
    async with shop.scope() as scope:
        channel = await channels.create(scope, "webchat", "Shop")
        talk = await conversations.start(scope, channel.id, "mia")
    message = await shop.answers(talk.id, "Hello")
    assert message.status == "sent"
    assert not await shop.rows("SELECT FROM deliveries")
    assert not await shop.rows("SELECT FROM jobs WHERE kind = 'deliver'")


async def test_a_paused_channel_holds_its_messages_until_it_is_resumed(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        await shop.rows("UPDATE channels SET status = 'paused'")
        message = await shop.answers(id, "Later")
        await shop.until("SELECT FROM lanes WHERE lane = $1 AND leased_by IS NULL", f"delivery:{id}")
        await shop.rows("UPDATE channels SET status = 'active'")
        await shop.rows("UPDATE lanes SET leased_until = now() WHERE lane = $1", f"delivery:{id}")
        await shop.came_to(message, "sent")
    assert shop.at_phones()[1:] == ["Later"]
