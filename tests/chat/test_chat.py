"""A customer asks, and reads one answer with its sources as it is written."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.chat import house

Visit = Callable[..., Awaitable[house.Visitor]]


async def test_an_answer_streams_in_and_cites_its_sources(visit: Visit, worker: Any) -> None:
    visitor = await visit()
    heard = await visitor.hears("How long does delivery to Austria take?")
    streamed = "".join(event.data["text"] for event in heard if event.name == "token")
    answer = heard[-1].data
    assert answer["text"] == streamed
    assert answer["text"].startswith("Delivery to Austria takes two working days [1].")
    assert answer["citations"][0]["document"] == "shipping.md"
    assert answer["citations"][0]["quote"] in house.FACTS[0]
    assert (answer["author"], answer["declined"]) == ("assistant", False)
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]
