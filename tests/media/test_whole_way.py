"""The whole way, from a telephone to the transcript and back, before a simulated Meta."""

import asyncio

from tests.media.conftest import ANA, JPEG, OGG, Shop
from tests.media.test_fetching import sends


async def test_a_picture_alone_is_acknowledged_on_the_telephone(shop: Shop) -> None:
    async with shop.worker():
        await sends(shop, "image", JPEG, "image/jpeg")
        (told,) = await shop.received(1, ANA)
        assert "in words" in told
        await sends(shop, "image", JPEG, "image/jpeg")
        await shop.says(ANA, "How long is it?")
        answers = await shop.received(2, ANA)
    assert len([text for text in answers if "in words" in text]) == 1


async def test_a_voice_message_asks_for_a_person(shop: Shop) -> None:
    async with shop.worker():
        row = await sends(shop, "audio", OGG, "audio/ogg", voice=True)
        (told,) = await shop.received(1, ANA)
    assert "listen" in told
    assert row["state"] == "stored"
    assert [talk["state"] for talk in await shop.rows("SELECT state FROM conversations")] == ["waiting"]


async def test_whoever_answers_in_the_app_silences_the_assistant(shop: Shop) -> None:
    async with shop.worker():
        await shop.says(ANA, "Hello")
        await shop.received(1, ANA)
        await asyncio.to_thread(shop.meta.call, "POST", f"phones/{ANA}/app", {"text": "I'll help you, Ana."})
        await shop.until("SELECT id FROM conversations WHERE state = 'assigned'")
        await shop.says(ANA, "Thank you!")
        await shop.until("SELECT id FROM messages WHERE text = 'Thank you!'")
        await shop.until("SELECT 1 AS none WHERE NOT EXISTS (SELECT FROM jobs WHERE kind = 'turn')")
    said = [row["text"] for row in await shop.ours()]
    assert said[-1] == "I'll help you, Ana."
    assert len(said) == 2
