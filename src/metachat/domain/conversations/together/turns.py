"""Answers of many conversations at once."""

from collections.abc import Sequence

from metachat.domain.conversations.model import Gathered, Reply
from metachat.domain.conversations.together import store
from metachat.domain.conversations.turns import Given, answer_held
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, as_each, by_tenant, only_tenant
from metachat.foundation.ids import MessageId
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue import Job, note_ended, tenant_of
from metachat.foundation.scope import Scope


class Answers:
    """Commits a worker's answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[tuple[Job, Given], bool] = Gathering(self._commit, writers=2)

    async def give(self, job: Job, gathered: Gathered, reply_id: MessageId, reply: Reply) -> bool:
        """Commit the one answer to what was gathered, and end the job; see `turns.answer`.

        Nothing is said where it comes too late. False where the job is another worker's now.
        """
        return await self._gathering.add(
            (job, Given(gathered, reply_id, reply, current_correlation_id(), job))
        )

    async def _commit(self, asked: Sequence[tuple[Job, Given]]) -> list[bool]:
        ended: set[int] = set()
        groups = by_tenant((tenant_of(job), given) for job, given in asked)
        async with self._database.transaction(only_tenant(groups)) as db:
            async for tenant, own in as_each(db, groups):
                ids = [given.gathered.conversation.id for given in own]
                await db.execute(store.LOCK, tenant=tenant, ids=ids)
                _, done = await answer_held(Scope(tenant, db, now(), "worker"), own)
                ended |= done
            note_ended(db, (job for job, _ in asked), ended)
        return [job.id in ended for job, _ in asked]
