"""Hundreds of slow turns at a time: nobody starves, and no connection waits with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.chat import house
from tests.conftest import Databases
from tests.engine.conftest import Line, eventually
from tests.engine.workers import at_work

from metachat.domain.assistant import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.foundation.ids import TenantId
from metachat.worker import limits_of

_CROWD = """
WITH people AS (
  INSERT INTO contacts (tenant_id, id, channel_id, external_id)
  SELECT $1, gen_random_uuid(), $2, 'p' || n FROM generate_series(1, $3::int) n RETURNING id
), talks AS (
  INSERT INTO conversations (tenant_id, id, channel_id, contact_id, last_seq)
  SELECT $1, gen_random_uuid(), $2, id, 1 FROM people RETURNING id
), said AS (
  INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text)
  SELECT $1, gen_random_uuid(), id, $2, 1, 'customer', 'How long does delivery to Austria take?' FROM talks
)
INSERT INTO jobs (lane, kind, tenant_id, payload)
SELECT 'conversation:' || id, 'turn', $1, jsonb_build_object('conversation', id) FROM talks
"""


@dataclass
class Stuck:
    """A model that answers one tenant at once, and the others when it is let go."""

    served: TenantId
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0
    answered: list[TenantId | None] = field(default_factory=list)

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Say a fact."""
        if request.tenant != self.served:
            self.waiting += 1
            await self.go_on.wait()
        self.answered.append(request.tenant)
        yield Claim(house.FACTS[0], (Source(1, house.FACTS[0]),))
        yield Final(Usage("scripted"))


async def test_a_flood_of_slow_turns_starves_nobody_and_holds_no_connection(
    open_line: Callable[..., Awaitable[Line]], databases: Databases, tenant: TenantId, stranger: TenantId
) -> None:
    loud, quiet = await open_line("webchat", of=stranger), await open_line("webchat")
    await loud.rows(_CROWD, stranger, loud.channel.id, 1_000)
    model = Stuck(served=tenant)

    async def is_full() -> bool:
        return model.waiting >= 450

    async def all_answered() -> bool:
        return len(model.answered) >= 1_030 and await loud.is_idle()

    async with at_work(
        databases.worker, lambda database: house.desk(database, model), limits_of(500), pool=4
    ):
        await eventually(is_full, within=60)
        held = await loud.rows(
            "SELECT 1 FROM pg_stat_activity WHERE usename = 'metachat_worker' AND state LIKE 'idle in%'"
            " AND state_change < now() - interval '1 s'"
        )
        assert held == [], "a transaction waits for a model"
        for number in range(30):
            message = await quiet.writes("How long does delivery to Austria take?", who=f"customer-{number}")
        await eventually(lambda: quiet.replies(message.conversation_id))
        assert set(model.answered) == {tenant}, "whoever floods is still waiting"
        assert model.waiting <= 500
        model.go_on.set()
        await eventually(all_answered, within=90)
    [counted] = await loud.rows(
        "SELECT count(*) FILTER (WHERE author = 'assistant') AS replies,"
        " count(*) FILTER (WHERE author = 'customer' AND answered_by IS NULL) AS unanswered FROM messages"
    )
    assert tuple(counted) == (1_030, 0)
