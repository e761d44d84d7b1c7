"""A program asks one question and gets the whole answer, or learns why there is none."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.chat import house
from tests.conftest import Databases

from metachat.domain import conversations
from metachat.domain.assistant import ModelFailed
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.realtime import Listener
from metachat.foundation.scope import open_scope
from metachat.web.chat import ask
from metachat.web.chat.asking import AssistantFailed, NoAnswerInTime


@dataclass
class Place:
    """What asking needs."""

    database: Database
    listener: Listener


@pytest.fixture
async def place(databases: Databases) -> AsyncIterator[Place]:
    """An api process's database and news."""
    announcer, listener = Announcer(databases.app), Listener(databases.app)
    announcer.start()
    listener.start()
    database = await Database.open(databases.app, size=3, announcer=announcer)
    yield Place(database, listener)
    await listener.close()
    await announcer.close()
    await database.close()


async def test_a_question_gets_its_answer_with_sources(place: Place, tenant: TenantId, worker: Any) -> None:
    asked = await ask(place, tenant, "How long does delivery to Austria take?", timeout=10)
    assert asked.answer.startswith("Delivery to Austria")
    assert (asked.citations[0].document, asked.citations[0].score, asked.declined) == (
        "shipping.md",
        0.9,
        False,
    )
    assert asked.timings["total"] >= asked.timings["first_token"]
    async with open_scope(place.database, tenant, actor="cli") as scope:
        assert await conversations.list_conversations(scope, limit=5) == [], "trials are not in the inbox"


async def test_a_wish_for_a_person_is_no_answer(place: Place, tenant: TenantId, worker: Any) -> None:
    assert (await ask(place, tenant, "Let me talk to a person", timeout=10)).declined


async def test_a_model_that_fails_is_said_to_have_failed(
    place: Place, tenant: TenantId, worker: Any, scripted: house.Scripted
) -> None:
    scripted.failure = ModelFailed()
    with pytest.raises(AssistantFailed):
        await ask(place, tenant, "How long does delivery to Austria take?", timeout=10)


async def test_without_a_worker_no_answer_comes_in_time(place: Place, tenant: TenantId) -> None:
    with pytest.raises(NoAnswerInTime):
        await ask(place, tenant, "How long does delivery to Austria take?", timeout=0.3)
