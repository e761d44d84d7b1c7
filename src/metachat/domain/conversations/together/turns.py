"""Answers of many conversations at once."""

from collections.abc import Sequence
from contextlib import ExitStack

from metachat.domain.conversations.model import Gathered, Reply
from metachat.domain.conversations.turns import Given, answer_all
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, by_tenant, step
from metachat.foundation.ids import MessageId
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue import Job, Succession, tenant_of
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
        with ExitStack() as kept:
            async with step(self._database, groups) as db:
                for tenant, own in sorted(groups.items()):
                    job = next(given.job for given in own if given.job is not None)
                    deliveries = kept.enter_context(Succession(job, "delivery", len(own)))
                    _, done = await answer_all(Scope(tenant, db, now(), "worker"), own, deliveries)
                    ended |= done
        return [job.id in ended for job, _ in asked]
