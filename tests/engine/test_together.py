"""Answers that are committed together: each to all of its messages or to none, whatever becomes of others."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from tests.engine.conftest import Line
from tests.queue.places import Places

from metachat.domain import conversations
from metachat.domain.conversations import Gathered, Reply, open_all
from metachat.domain.conversations.deliveries.office import read_begun
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


@pytest.mark.parametrize("few", [0, 1000], ids=["statements", "loop"])
async def test_a_delivery_begins_with_what_reading_it_would_tell(
    open_line: OpenLine, worker_db: Database, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "FEW", few)
    line, room = await open_line(quiet_seconds=0, number_limit=7), Places(free=True)
    ids = []
    for who, at in (("ana", None), ("ben", datetime(2026, 3, 1, tzinfo=UTC))):
        ids.append((await line.writes("Where is it?", who, at=at)).conversation_id)
    await line.rows("UPDATE contacts SET phone = '385911' WHERE external_id = 'ben'")
    await line.rows("UPDATE conversations SET language = 'hr' WHERE id = $1", ids[0])
    jobs = await _jobs(line, worker_db, ids)
    for job in jobs.values():
        job.lease.places = room
    answers, replies = Answers(worker_db), (
        Reply("here", citations=[{"chunk_id": 1}], detail={"choices": ["a"]}), Reply("there", language="de"),
    )  # fmt: skip
    for id, reply in zip(ids, replies, strict=True):
        assert await answers.give(jobs[id], await line.gathered(id), MessageId(uuid7()), reply)
    assert [job.kind for job in room.begun] == ["deliver", "deliver"]
    for job in room.begun:
        message = UUID(job.payload["message"])
        async with open_scope(worker_db, line.tenant, actor="worker") as scope:
            (row,) = await scope.db.all(
                "SELECT described FROM describe_deliveries(:tenant, :ids::uuid[], :ids::uuid[], 0)",
                tenant=line.tenant, ids=[message],
            )  # fmt: skip
        assert job.brought is not None
        assert read_begun(job.brought) == read_begun(row["described"])
    assert [read_begun(str(job.brought)).text for job in room.begun] == ["here", "there"]


async def test_a_turn_begins_with_its_channel_and_what_was_said_before(
    open_line: OpenLine, worker_db: Database
) -> None:
    line = await open_line(quiet_seconds=0)
    first = await line.writes("Where is it?", "ana")
    jobs = await _jobs(line, worker_db, [first.conversation_id])
    before = await line.gathered(first.conversation_id)
    assert await _give(Answers(worker_db), jobs[first.conversation_id], before, "There.")
    later = await line.writes("And when?", "ana")
    after = await line.gathered(first.conversation_id)
    assert after.channel == line.channel
    assert [(said.author, said.text) for said in after.history] == [
        ("customer", "Where is it?"),
        ("assistant", "There."),
    ]
    assert after.history[0].created_at == first.created_at
    assert after.question == later.text
