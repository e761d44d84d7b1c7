"""Answers that are committed together: each to all of its messages or to none, whatever becomes of others."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.engine.conftest import Line

from metachat.domain import conversations
from metachat.domain.conversations import Gathered, Reply, open_all
from metachat.domain.conversations.together import store as together
from metachat.domain.conversations.together.turns import Answers
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, MessageId, TenantId, uuid7
from metachat.foundation.queue import Job, store
from metachat.foundation.queue.model import Lease
from metachat.foundation.scope import open_scope

ME = "me:1:1.1"


async def _jobs(line: Line, worker: Database, ids: list[ConversationId]) -> dict[ConversationId, Job]:
    lanes = {f"conversation:{id}": id for id in ids}
    async with worker.transaction() as db:
        await store.claim(db, ME, lanes, 60)
        rows = await db.all("SELECT id, lane FROM jobs WHERE kind = 'turn' ORDER BY id DESC")
    return {
        lanes[row["lane"]]: Job(
            row["id"], row["lane"], "turn", line.tenant, {}, 0, 0, None, Lease(row["lane"], ME)
        )
        for row in rows
    }


async def _give(answers: Answers, job: Job, gathered: Gathered, text: str) -> bool:
    return await answers.give(job, gathered, MessageId(uuid7()), Reply(text, citations=[{"chunk_id": 1}]))


OpenLine = Callable[..., Awaitable[Line]]


@pytest.mark.parametrize("few", [0, 1000], ids=["statements", "loop"])
async def test_each_answer_stands_for_itself(
    open_line: OpenLine, worker_db: Database, stranger: TenantId, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "FEW", few)
    line = await open_line(quiet_seconds=0)
    ids = [(await line.writes("Where is it?", who)).conversation_id for who in ("ana", "ben", "cyd", "dan")]
    jobs = await _jobs(line, worker_db, ids)
    async with open_scope(worker_db, line.tenant, actor="worker") as scope:
        opened = await open_all(scope, ids)
    async with open_scope(worker_db, stranger, actor="worker") as scope:
        assert await open_all(scope, ids) == {}
    answers = Answers(worker_db)
    ready = {id: found for id in ids if (found := opened[id].gathered) is not None}
    assert len(ready) == 4
    # A person takes one over, another one was answered meanwhile, and of a third the lane is lost.
    async with open_scope(line.database, line.tenant, actor="cli") as scope:
        await conversations.hand_off(scope, ids[1])
    assert await _give(answers, jobs[ids[2]], ready[ids[2]], "the first one")
    async with worker_db.transaction() as db:
        await db.execute(
            "UPDATE lanes SET leased_by = 'you:2:2.2' WHERE lane = :lane", lane=jobs[ids[3]].lane
        )
    given = await asyncio.gather(*(_give(answers, jobs[id], ready[id], "an answer") for id in ids))
    assert given == [True, True, False, False]
    said = [[(m.author, m.text) for m in await line.transcript(id)][1:] for id in ids]
    assert said[0] == [("assistant", "an answer")]
    assert [author for author, _ in said[1]] == ["system"]
    assert said[2] == [("assistant", "the first one")]
    # That message was open, and nobody else has answered it: the answer stands, the job is another's.
    assert said[3] == [("assistant", "an answer")]
    (answer,) = [m for m in await line.transcript(ids[0]) if m.author == "assistant"]
    assert answer.citations == [{"chunk_id": 1}]
    assert (await line.transcript(ids[0]))[0].answered_by == answer.id


@pytest.mark.parametrize("few", [0, 1000], ids=["statements", "loop"])
async def test_what_came_meanwhile_stays_open(
    open_line: OpenLine, worker_db: Database, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "FEW", few)
    line = await open_line(quiet_seconds=0)
    first = await line.writes("Where is it?", "ana")
    jobs = await _jobs(line, worker_db, [first.conversation_id])
    before = await line.gathered(first.conversation_id)
    later = await line.writes("And when?", "ana")
    assert await _give(Answers(worker_db), jobs[first.conversation_id], before, "There.")
    after = await line.gathered(first.conversation_id)
    assert [message.id for message in after.unanswered] == [later.id]
