"""What turns begin with: a conversation's open questions and the tenant's assistant, for many at once."""

from collections.abc import Sequence

from metachat.domain.conversations import Opened, open_all
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, by_tenant, step
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.scope import Scope


class Openings:
    """Reads what a worker's turns begin with."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[tuple[TenantId, ConversationId], Opened | None] = Gathering(
            self._open, writers=2
        )

    async def open(self, tenant: TenantId, id: ConversationId) -> Opened | None:
        """Read what one turn begins with; None when there is no such conversation."""
        return await self._gathering.add((tenant, id))

    async def _open(self, asked: Sequence[tuple[TenantId, ConversationId]]) -> list[Opened | None]:
        opened: dict[ConversationId, Opened] = {}
        groups = by_tenant(asked)
        async with step(self._database, groups) as db:
            for tenant, ids in groups.items():
                opened |= await open_all(Scope(tenant, db, now(), "worker"), ids)
        return [opened.get(id) for _, id in asked]
