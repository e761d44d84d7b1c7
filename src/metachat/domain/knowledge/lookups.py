"""A worker's searches: those that are asked for meanwhile share the next transaction."""

from collections.abc import Sequence

from metachat.domain.knowledge.model import Passage
from metachat.domain.knowledge.search import Query, look_up
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, by_tenant, step
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import Scope


class Lookups:
    """Searches in the documents of every tenant; database reads no whole tables (plans "once")."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[tuple[TenantId, Query], list[Passage]] = Gathering(self._find, writers=2)

    async def find(self, tenant: TenantId, query: Query) -> list[Passage]:
        """Find the best passages of a tenant, best first; see `find_passages`."""
        return await self._gathering.add((tenant, query))

    async def _find(self, asked: Sequence[tuple[TenantId, Query]]) -> list[list[Passage]]:
        found: dict[int, list[Passage]] = {}
        groups = by_tenant((tenant, (place, query)) for place, (tenant, query) in enumerate(asked))
        async with step(self._database, groups) as db:
            for tenant, queries in groups.items():
                scope = Scope(tenant, db, now(), "worker")
                each = await look_up(scope, [query for _, query in queries])
                found.update(zip((place for place, _ in queries), each, strict=True))
        return [found[place] for place in range(len(asked))]
