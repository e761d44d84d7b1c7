"""Customers who write in bursts get one answer to each, in the order in which they wrote."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.chat import house
from tests.conftest import Databases
from tests.engine.conftest import Line, eventually

from metachat.domain.channels import ChannelKind, quiet_seconds
from metachat.domain.conversations import Message, in_order
from metachat.foundation.ids import TenantId

Open = Callable[..., Awaitable[Line]]
QUESTION = "How long does delivery to Austria take?"


async def test_a_burst_is_answered_once_when_the_customer_is_quiet(
    open_line: Open, databases: Databases, stranger: TenantId
) -> None:
    line, elsewhere = await open_line(quiet_seconds=0.6), await open_line(of=stranger, quiet_seconds=0.6)
    scripted = house.Scripted()
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        other = await elsewhere.writes("What about the warranty?")
        for text in ("Hello,", "I have a question:", QUESTION):
            message = await line.writes(text)
            await asyncio.sleep(0.2)
        await eventually(line.is_idle)
    assert sorted(scripted.asked) == [f"Hello,\nI have a question:\n{QUESTION}", "What about the warranty?"]
    assert len(await line.replies(message.conversation_id)) == 1
    assert len(await elsewhere.replies(other.conversation_id)) == 1


async def test_whoever_never_pauses_is_answered_nevertheless(open_line: Open, databases: Databases) -> None:
    line, scripted = await open_line(quiet_seconds=0.3), house.Scripted()
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        written = 0
        while not scripted.asked:
            written += 1
            assert written < 60, "five times the quiet passed long ago"
            message = await line.writes(f"{written}. {QUESTION}")
            await asyncio.sleep(0.1)
        await eventually(line.is_idle)
    assert scripted.asked[0].count("\n") > 4, "it was waited for more than once"
    said = await line.transcript(message.conversation_id)
    assert all(one.answered_by for one in said if one.author == "customer")


async def test_what_comes_before_the_first_word_is_answered_with_the_rest(
    open_line: Open, databases: Databases
) -> None:
    line, scripted = await open_line("webchat"), house.Scripted(pause=0.5)
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        await line.writes(QUESTION)
        await eventually(lambda: _asked(scripted, 1))
        message = await line.writes("And how long is the warranty?")
        await eventually(line.is_idle)
    assert scripted.asked == [QUESTION, f"{QUESTION}\nAnd how long is the warranty?"]
    assert len(await line.replies(message.conversation_id)) == 1


async def test_a_turn_begins_anew_a_few_times_only(open_line: Open, databases: Databases) -> None:
    line, scripted = await open_line("webchat"), house.Scripted(pause=0.6)
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        message = await line.writes("1. " + QUESTION)
        for number in (2, 3, 4):
            await eventually(lambda: _asked(scripted, number - 1))  # noqa: B023
            await line.writes(f"{number}. {QUESTION}")
        await eventually(line.is_idle)
    assert [asked.count("\n") + 1 for asked in scripted.asked] == [1, 2, 3, 1]
    assert len(await line.replies(message.conversation_id)) == 2


async def test_a_second_look_at_the_same_does_not_begin_anew(open_line: Open, databases: Databases) -> None:
    line, scripted = await open_line("webchat"), house.Scripted(pause=0.5)
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)) as loop:
        message = await line.writes(QUESTION)
        await eventually(lambda: _asked(scripted, 1))
        assert line.database.announcer is not None
        lane = f"conversation:{message.conversation_id}"
        for _ in range(3):
            line.database.announcer.announce("wake", {"lane": lane, "tenant": str(line.tenant)})
        await eventually(line.is_idle)
        assert loop.done == 1
    assert scripted.asked == [QUESTION]


async def _asked(scripted: house.Scripted, times: int) -> bool:
    return len(scripted.asked) >= times


async def test_a_message_that_comes_late_is_put_where_it_was_written(open_line: Open) -> None:
    line, noon = await open_line(), datetime(2026, 1, 5, 12, tzinfo=UTC)
    second = await line.writes("second", at=noon + timedelta(seconds=20))
    await line.writes("third", at=noon + timedelta(seconds=20))
    first = await line.writes("first", at=noon)
    await line.writes("without a clock")
    gathered = await line.gathered(first.conversation_id)
    assert gathered.question == "first\nsecond\nthird\nwithout a clock"
    said = await line.transcript(second.conversation_id)
    assert [one.text for one in said] == ["second", "third", "first", "without a clock"], "as it arrived"


async def test_the_history_holds_what_was_said_beside_the_question(
    open_line: Open, databases: Databases
) -> None:
    line, scripted = await open_line("webchat"), house.Scripted(pause=0.2)
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)):
        message = await line.writes(QUESTION)
        await eventually(lambda: _has_draft(line))
        late = await line.writes("And the warranty?")
        await eventually(lambda: line.replies(message.conversation_id))
        gathered = await line.gathered(late.conversation_id)
        await eventually(line.is_idle)
    assert [one.author for one in gathered.history] == ["customer", "assistant"]
    assert gathered.question == "And the warranty?"


async def _has_draft(line: Line) -> bool:
    return bool(await line.rows("SELECT 1 FROM drafts"))


@pytest.mark.parametrize(
    ("kind", "wanted", "seconds"),
    [
        ("whatsapp", None, 1.0), ("webchat", None, 0.0), ("test", None, 0.0), ("whatsapp", 0, 0.0),
        ("webchat", 2.5, 2.5), ("whatsapp", -1, 1.0), ("whatsapp", 1e9, 1.0), ("whatsapp", "soon", 1.0),
        ("whatsapp", True, 1.0), ("whatsapp", float("nan"), 1.0),
    ],
)  # fmt: skip
def test_a_channel_says_how_long_it_waits(kind: ChannelKind, wanted: object, seconds: float) -> None:
    assert quiet_seconds(kind, wanted) == seconds


async def test_a_message_repeated_by_the_provider_waits_for_nothing_anew(open_line: Open) -> None:
    line = await open_line(quiet_seconds=5)
    message = await line.writes(QUESTION, key="wamid.1")
    due = await line.rows("SELECT run_at FROM jobs WHERE kind = 'turn'")
    again: Message = await line.writes(QUESTION, key="wamid.1")
    assert again.id == message.id
    assert await line.rows("SELECT run_at FROM jobs WHERE kind = 'turn'") == due


async def test_the_team_reads_what_was_written_in_its_order(open_line: Open) -> None:
    line, noon = await open_line(), datetime(2026, 1, 5, 12, tzinfo=UTC)
    for text, second in (("second", 20), ("first", 0), ("third", 40), ("also second", 20)):
        message = await line.writes(text, at=noon + timedelta(seconds=second))
    said = in_order(await line.transcript(message.conversation_id))
    assert [one.text for one in said] == ["first", "second", "also second", "third"]
