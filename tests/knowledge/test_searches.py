"""A search that was foreseen is made once, and is the one that was asked for."""

import asyncio

from typing_extensions import override

from metachat.domain.knowledge import Lookups, Searches, Vector
from metachat.foundation.ids import TenantId
from tests.knowledge.conftest import Library
from tests.knowledge.scripted import ScriptedEmbedder

QUESTION = "How long does delivery to Austria take?"


class Counting(ScriptedEmbedder):
    """Counts the questions that it embeds, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.fails = False

    @override
    async def embed_query(self, text: str) -> Vector:
        """Embed a question, or fail."""
        self.asked.append(text)
        if self.fails:
            raise ValueError("not today")
        return await super().embed_query(text)


async def test_what_was_foreseen_is_found_once(library: Library, stranger: TenantId) -> None:
    await library.learn("delivery.txt", b"Delivery to Austria takes three days.")
    embedder = Counting()
    searches = Searches(embedder, Lookups(library.workshop.database))
    search = searches.of(library.tenant)
    usual = await search(QUESTION, "en")
    assert "three days" in usual[0].text
    searches.foresee(library.tenant, QUESTION, "en")
    assert await search(QUESTION, "en") == usual
    assert embedder.asked == [QUESTION] * 2
    # Another question, another language, and another tenant have their own.
    searches.foresee(library.tenant, QUESTION, "en")
    assert "three days" in (await search("Austria?", "en"))[0].text
    assert (await search(QUESTION, None))[0].text == usual[0].text
    assert await searches.of(stranger)(QUESTION, "en") == []


async def test_a_failed_guess_fails_nobody(library: Library) -> None:
    await library.learn("delivery.txt", b"Delivery to Austria takes three days.")
    embedder = Counting()
    searches = Searches(embedder, Lookups(library.workshop.database))
    embedder.fails = True
    searches.foresee(library.tenant, QUESTION, "en")
    await asyncio.sleep(0.01)
    assert embedder.asked == [QUESTION]
    embedder.fails = False
    assert "three days" in (await searches.of(library.tenant)(QUESTION, "en"))[0].text
