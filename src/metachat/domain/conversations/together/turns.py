"""Turns of many conversations at once: what they answer is read together, and their answers are committed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from metachat.domain.conversations import writing
from metachat.domain.conversations.model import Gathered, Message, Reply, preview
from metachat.domain.conversations.together import store
from metachat.domain.conversations.turns import HISTORY_LENGTH, gathered
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering, as_each, by_tenant, only_tenant
from metachat.foundation.ids import ConversationId, MessageId
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue import Job, tenant_of
from metachat.foundation.scope import Scope


async def gather_all(scope: Scope, ids: Collection[ConversationId]) -> dict[ConversationId, Gathered | None]:
    """Collect what the assistant has to answer in each; None where nothing is, absent where there is none."""
    rows = await scope.db.all(store.GATHER, tenant=scope.tenant, ids=list(ids), limit=HISTORY_LENGTH)
    return {row["id"]: gathered(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to be committed, with the job that it ends."""

    job: Job
    gathered: Gathered
    id: MessageId
    reply: Reply
    correlation: str | None


class Answers:
    """Commits a worker's answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[Given, bool] = Gathering(self._commit, writers=2)

    async def give(self, job: Job, gathered: Gathered, reply_id: MessageId, reply: Reply) -> bool:
        """Commit the one answer to what was gathered, and end the job; see `turns.answer`.

        Nothing is said where it comes too late. False where the job is another worker's now.
        """
        return await self._gathering.add(Given(job, gathered, reply_id, reply, current_correlation_id()))

    async def _commit(self, all_given: Sequence[Given]) -> list[bool]:
        ended: set[int] = set()
        groups = by_tenant((tenant_of(given.job), given) for given in all_given)
        async with self._database.transaction(only_tenant(groups)) as db:
            async for tenant, own in as_each(db, groups):
                ended |= await _answer(Scope(tenant, db, now(), "worker"), own)
            db.after_commit(lambda: _mark_finished(all_given, ended))
        return [given.job.id in ended for given in all_given]


def _mark_finished(all_given: Sequence[Given], ended: set[int]) -> None:
    for given in all_given:
        if given.job.id in ended:
            given.job.lease.finished.add(given.job.id)


async def _answer(scope: Scope, given: Sequence[Given]) -> set[int]:
    ids = [one.gathered.conversation.id for one in given]
    replies = [one.reply for one in given]
    await scope.db.execute(store.LOCK, tenant=scope.tenant, ids=ids)
    rows = await scope.db.all(
        store.ANSWER,
        tenant=scope.tenant, now=scope.now, ids=ids, messages=[one.id for one in given],
        texts=[reply.text for reply in replies], previews=[preview(reply.text) for reply in replies],
        declined=[reply.declined for reply in replies],
        citations=[_as_json(reply.citations) for reply in replies],
        details=[reply.detail for reply in replies], languages=[reply.language for reply in replies],
        correlations=[one.correlation for one in given],
        counts=[len(one.gathered.unanswered) for one in given],
        answered=[message.id for one in given for message in one.gathered.unanswered],
        streamed=[one.gathered.conversation.id for one in given if one.gathered.streamed],
        jobs=[one.job.id for one in given], owners=list({one.job.lease.owner for one in given}),
    )  # fmt: skip
    by_id = {one.id: one for one in given}
    for row in rows:
        if row["id"] is not None:
            writing.announced(scope, _message(scope, by_id[row["id"]], row["seq"], row["status"]))
    return {row["job"] for row in rows if row["job"] is not None}


def _as_json(citations: list[dict[str, Any]]) -> str:
    # As values of an array they would be taken for its further dimensions.
    return msgspec.json.encode(citations).decode()


def _message(scope: Scope, given: Given, seq: int, status: str) -> Message:
    reply = given.reply
    return Message(
        id=given.id, conversation_id=given.gathered.conversation.id, seq=seq, author=reply.author,
        author_id=None, text=reply.text, provider_id=None, status=status, declined=reply.declined,
        citations=reply.citations, detail=reply.detail, answered_by=None,
        provider_at=None, created_at=scope.now,
    )  # fmt: skip
