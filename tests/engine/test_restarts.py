"""Someone who reads along while one model breaks off and another one begins anew."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.chat import house
from tests.chat.conftest import channel, door, visit  # noqa: F401  (fixtures)
from tests.conftest import Databases

from metachat.domain.assistant import AnswerRequest, Claim, Failed, Final, Piece, Source, Usage


class BreaksOff:
    """Says one fact, fails, and lets another model say the others."""

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say them."""
        yield Claim(house.FACTS[0], (Source(1, house.FACTS[0]),))
        yield Failed("openai", "models.example big", "model_unreachable", 30)
        for fact in house.FACTS[1:]:
            yield Claim(fact, (Source(1, fact),))
        yield Final(Usage("anthropic", "small"))


@pytest.fixture
async def worker(databases: Databases) -> AsyncIterator[Any]:
    """A worker whose models do that."""
    async with house.working(databases.worker, lambda database: house.desk(database, BreaksOff())) as loop:
        yield loop


async def test_a_reader_sees_the_draft_replaced_and_one_answer(
    visit: Callable[..., Awaitable[house.Visitor]],  # noqa: F811
    worker: Any,
) -> None:
    visitor = await visit()
    heard = await visitor.hears("How long does delivery to Austria take?")
    drafts: dict[str, str] = {}
    for event in heard:
        if event.name == "token":
            so_far = drafts.get(event.data["message"], "")
            assert event.data["offset"] <= len(so_far)
            drafts[event.data["message"]] = so_far[: event.data["offset"]] + event.data["text"]
    answer = heard[-1].data
    assert len(drafts) == 2
    (_, broken_off), (last, whole) = drafts.items()
    assert broken_off.startswith("Delivery to Austria takes")
    assert (last, whole) == (answer["id"], answer["text"])
    assert answer["text"].startswith("Returns are free within thirty days [1].")
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]
