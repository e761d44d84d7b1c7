"""A worker's searches in the documents of every tenant, some of them begun before they are asked for."""

from collections.abc import Awaitable, Callable

from metachat.domain.knowledge.embedding.contract import Embedder
from metachat.domain.knowledge.lookups import Lookups
from metachat.domain.knowledge.model import Passage
from metachat.domain.knowledge.search import prepare
from metachat.foundation.ids import TenantId
from metachat.foundation.prefetch import Prefetch


class Searches:
    """Searches with one embedder; the question is embedded outside of the transaction."""

    def __init__(self, embedder: Embedder, lookups: Lookups) -> None:
        self._embedder = embedder
        self._lookups = lookups
        self._early: Prefetch[tuple[TenantId, str, str | None], list[Passage]] = Prefetch()

    def of(self, tenant: TenantId) -> Callable[[str, str | None], Awaitable[list[Passage]]]:
        """The search in a tenant's documents, for a question and the language it is known to be in."""

        async def search(question: str, language: str | None) -> list[Passage]:
            early = await self._early.take((tenant, question, language))
            return await self._search(tenant, question, language) if early is None else early

        return search

    def foresee(self, tenant: TenantId, question: str, language: str | None) -> None:
        """Begin a search that will probably be asked for in a moment."""
        self._early.begin((tenant, question, language), lambda: self._search(tenant, question, language))

    async def _search(self, tenant: TenantId, question: str, language: str | None) -> list[Passage]:
        query = await prepare(self._embedder, question, language=language)
        return await self._lookups.find(tenant, query)
