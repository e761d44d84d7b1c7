"""What turns begin with: a conversation's open questions and the tenant's assistant, for many at once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from metachat.domain.assistant.model import Profile
from metachat.domain.conversations import Gathered, gather_all
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, as_each, by_tenant, only_tenant
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.scope import Scope

ProfileOf = Callable[[Scope], Awaitable[Profile]]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a turn begins with; gathered None when there is nothing to answer."""

    gathered: Gathered | None
    profile: Profile


class Openings:
    """Reads what a worker's turns begin with."""

    def __init__(self, database: Database, profile_of: ProfileOf) -> None:
        self._database = database
        self._profile_of = profile_of
        self._gathering: Gathering[tuple[TenantId, ConversationId], Opened | None] = Gathering(
            self._open, writers=2
        )

    async def open(self, tenant: TenantId, id: ConversationId) -> Opened | None:
        """Read what one turn begins with; None when there is no such conversation."""
        return await self._gathering.add((tenant, id))

    async def _open(self, asked: Sequence[tuple[TenantId, ConversationId]]) -> list[Opened | None]:
        opened: dict[ConversationId, Opened] = {}
        groups = by_tenant(asked)
        async with self._database.reading(only_tenant(groups)) as db:
            async for tenant, ids in as_each(db, groups):
                scope = Scope(tenant, db, now(), "worker")
                profile = await self._profile_of(scope)
                for id, gathered in (await gather_all(scope, ids)).items():
                    opened[id] = Opened(gathered, profile)
        return [opened.get(id) for _, id in asked]
