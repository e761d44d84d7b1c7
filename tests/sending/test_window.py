"""Twenty-four hours after a customer's last message only templates reach them."""

import asyncio
from typing import Any

from tests.sending.conftest import ANA, Shop

from metachat.domain import conversations

LONG_AGO = (
    "UPDATE messages SET created_at = now() - interval '25 hours', provider_at = now() - interval '25 hours'"
)
AGAIN = {
    "name": "reopen", "language": "en",
    "components": [{"type": "body", "parameters": [{"type": "text", "text": "{text}"}]}],
}  # fmt: skip


async def silent_customer(shop: Shop) -> Any:
    id = await shop.greeted()
    await shop.rows(LONG_AGO)
    await asyncio.to_thread(shop.meta.call, "POST", f"phones/{ANA}/idle", {"hours": 25})
    return id


async def test_free_text_fails_with_a_reason_and_goes_as_a_template_when_resent(shop: Shop) -> None:
    async with shop.worker():
        id = await silent_customer(shop)
        message = await shop.answers(id, "Your tent\nis here")
        row = await shop.came_to(message, "failed")
        assert "has not written for 24 hours" in row["detail"]["failed"]["reason"]
        assert len(shop.at_phones()) == 1
        template = {**AGAIN, "language": {"code": "en"}}
        template["components"] = [
            {"type": "body", "parameters": [{"type": "text", "text": "Your tent is here"}]}
        ]
        async with shop.scope() as scope:
            await conversations.resend(scope, id, message.id, template=template)
        row = await shop.came_to(message, "sent")
    assert "failed" not in row["detail"]
    assert "Your tent is here" in shop.at_phones()[-1]
    assert shop.meta.arrivals()[-1].type == "template"


async def test_the_channels_template_takes_its_place(shop: Shop) -> None:
    await shop.set(reopening_template=AGAIN)
    async with shop.worker():
        id = await silent_customer(shop)
        row = await shop.came_to(await shop.answers(id, "Your tent\nis here"), "sent")
    assert row["detail"]["sent_as"] == {"template": "reopen"}
    assert "Your tent is here" in shop.at_phones()[-1]
    assert shop.meta.arrivals()[-1].type == "template"


async def test_metas_clock_decides(shop: Shop) -> None:
    await shop.set(reopening_template=AGAIN)
    async with shop.worker():
        id = await shop.greeted()  # here, the window is open
        await asyncio.to_thread(shop.meta.call, "POST", f"phones/{ANA}/idle", {"hours": 25})
        row = await shop.came_to(await shop.answers(id, "Your tent is here"), "sent")
    assert row["detail"]["sent_as"] == {"template": "reopen"}
    assert shop.meta.arrivals()[-1].type == "template"


async def test_within_the_window_text_stays_text(shop: Shop) -> None:
    await shop.set(reopening_template=AGAIN)
    async with shop.worker():
        id = await shop.greeted()
        row = await shop.came_to(await shop.answers(id, "Your tent is here"), "sent")
    assert "sent_as" not in row["detail"]
    assert shop.meta.arrivals()[-1].type == "text"
