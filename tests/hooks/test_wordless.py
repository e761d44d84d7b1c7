"""Whoever sends something without words gets no answer to a question that nobody asked."""

from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain import conversations
from metachat.foundation.ids import ConversationId, MessageId, uuid7
from metachat.foundation.scope import open_scope

PICTURE = {"type": "image", "image": {"id": "1", "mime_type": "image/jpeg"}}
VOICE = {"type": "audio", "audio": {"id": "2", "mime_type": "audio/ogg; codecs=opus", "voice": True}}
ORDER = {"type": "order", "order": {"catalog_id": "c", "product_items": [{"product_retailer_id": "tent"}]}}
PLACE = {"type": "location", "location": {"latitude": 45.8, "longitude": 15.9, "name": "Zagreb"}}


async def sends(shop: Shop, *contents: dict[str, Any]) -> conversations.Gathered | None:
    """A customer sends these; gives what the assistant would have to answer."""
    await shop.deliver(meta.change(meta.value(*(meta.message(**one) for one in contents))))
    await shop.work()
    (talk,) = await shop.rows("SELECT id FROM conversations")
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        return await conversations.gather(scope, ConversationId(talk["id"]))


async def answers(shop: Shop, gathered: conversations.Gathered | None) -> None:
    """The assistant takes its turn at something without words."""
    assert gathered is not None
    assert not gathered.asks
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        await conversations.acknowledge(scope, gathered)


async def said(shop: Shop) -> list[str]:
    """What the customer was told."""
    return [row["text"] for row in await shop.messages() if row["author"] != "customer"]


async def state(shop: Shop) -> str:
    (row,) = await shop.rows("SELECT state FROM conversations")
    return str(row["state"])


async def test_a_picture_is_acknowledged_once(shop: Shop) -> None:
    await answers(shop, await sends(shop, PICTURE, PICTURE))
    await answers(shop, await sends(shop, PICTURE))
    (told,) = await said(shop)
    assert "in words" in told
    assert await state(shop) == "assistant"
    assert all(row["answered_by"] for row in await shop.messages() if row["author"] == "customer")


async def test_words_that_come_meanwhile_are_still_to_be_answered(shop: Shop) -> None:
    # Whether it is the first picture, which is acknowledged, or the next one, which is taken in silence.
    for question in ("Do you have this in green?", "And in red?"):
        before = await sends(shop, PICTURE)
        await sends(shop, {"text": {"body": question}})
        await answers(shop, before)
        (talk,) = await shop.rows("SELECT id FROM conversations")
        async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
            after = await conversations.gather(scope, ConversationId(talk["id"]))
        assert after is not None
        assert after.question == question
        await shop.rows("UPDATE messages SET answered_by = id WHERE author = 'customer'")
    assert len(await said(shop)) == 1


@pytest.mark.parametrize("content", [VOICE, ORDER])
async def test_a_voice_message_or_an_order_is_a_persons(shop: Shop, content: dict[str, Any]) -> None:
    await answers(shop, await sends(shop, PICTURE, content))
    (told,) = await said(shop)
    assert "colleague" in told
    assert await state(shop) == "waiting"
    events = await shop.rows("SELECT data FROM events WHERE kind = 'handoff.requested'")
    assert len(events) == 1


async def test_words_beside_it_are_answered_and_it_is_not_part_of_the_question(shop: Shop) -> None:
    gathered = await sends(shop, PICTURE, {"text": {"body": "Do you have this in green?"}}, PLACE)
    assert gathered is not None
    assert gathered.asks
    assert gathered.question == "Do you have this in green?\nZagreb"
    captioned = await sends(shop, {"type": "image", "image": {"id": "3", "caption": "And this?"}})
    assert captioned is not None
    assert captioned.asks


async def test_it_comes_too_late_where_a_person_has_taken_over(shop: Shop) -> None:
    gathered = await sends(shop, PICTURE)
    await shop.rows("UPDATE conversations SET state = 'waiting'")
    await answers(shop, gathered)
    assert await said(shop) == []


async def test_what_was_deleted_needs_no_answer_and_the_rest_still_gets_one(shop: Shop) -> None:
    first, second = meta.message("Where is my tent?"), meta.message("And my lamp?")
    await shop.deliver(meta.change(meta.value(first, second)))
    await shop.work()
    (talk,) = await shop.rows("SELECT id FROM conversations")
    id = ConversationId(talk["id"])
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        before = await conversations.gather(scope, id)
    assert before is not None
    await shop.rows("DELETE FROM jobs WHERE kind = 'turn'")
    revoke = meta.message(type="revoke", revoke={"original_message_id": first["id"]})
    await shop.deliver(meta.change(meta.value(revoke)))
    await shop.work()
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        # The answer that was in the making comes to nothing, and another turn answers what is left.
        made = conversations.Reply("Both are on their way.")
        assert await conversations.answer(scope, before, MessageId(uuid7()), made) is None
        after = await conversations.gather(scope, id)
    assert after is not None
    assert after.question == "And my lamp?"
    assert len(await shop.rows("SELECT id FROM jobs WHERE kind = 'turn'")) == 1
