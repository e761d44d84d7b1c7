"""A person takes over: asked for in words or by button, and when the model fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from tests.chat import house

from metachat.domain.assistant import ModelFailed
from metachat.domain.conversations import ConversationNotFound, hand_off
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.scope import open_scope

Visit = Callable[..., Awaitable[house.Visitor]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Can I talk to a real person please?", "I've asked a colleague"),
        ("Ich möchte mit einem Menschen sprechen", "Ich habe eine Kollegin"),
        ("Želim razgovarati s osobom", "Zamolio sam kolegu"),
    ],
)
async def test_whoever_asks_for_a_person_waits_for_one(
    visit: Visit, worker: Any, scripted: house.Scripted, text: str, said: str
) -> None:
    visitor = await visit(locale="en")
    heard = await visitor.hears(text)
    assert heard[-1].data["author"] == "system"
    assert heard[-1].data["text"].startswith(said)
    await visitor.says("Are you there?")
    history = (await visitor.gets("/messages")).json()
    assert history["conversation"]["state"] == "waiting"
    assert scripted.asked == []


async def test_the_button_silences_the_assistant_at_once(
    visit: Visit, worker: Any, scripted: house.Scripted
) -> None:
    scripted.pause = 0.3
    visitor = await visit(locale="de-AT")
    async with asyncio.timeout(10), visitor.reads() as events:
        await visitor.says("How long does delivery to Austria take?")
        pressed = False
        async for event in events:
            if event.name == "token" and not pressed:
                pressed = True
                response = await visitor.posts("/hand-off")
                assert response.json()["state"] == "waiting"
            if event.name == "state" and event.data["state"] == "waiting":
                break
        again = await visitor.posts("/hand-off")
    assert again.json()["state"] == "waiting"
    async with asyncio.timeout(10):
        while worker.done < 1:
            await asyncio.sleep(0.05)
    history = await visitor.history()
    assert [message["author"] for message in history] == ["customer", "system"]
    assert history[1]["text"].startswith("Ich habe eine Kollegin")


async def test_a_model_that_fails_is_apologised_for_and_a_person_is_asked(
    visit: Visit, worker: Any, scripted: house.Scripted
) -> None:
    scripted.failure = ModelFailed("the far end said 500")
    visitor = await visit(locale="en")
    heard = await visitor.hears("Wie lange dauert die Lieferung nach Österreich?")
    assert heard[-1].data["text"].startswith("Es tut mir leid")
    assert (await visitor.gets("/messages")).json()["conversation"]["state"] == "waiting"


async def test_a_stranger_hands_off_nothing(visit: Visit, app_db: Database, stranger: TenantId) -> None:
    visitor = await visit()
    id = ConversationId(UUID(visitor.session["conversation"]["id"]))
    with pytest.raises(ConversationNotFound):
        async with open_scope(app_db, stranger, actor="cli") as scope:
            await hand_off(scope, id)
