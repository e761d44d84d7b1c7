"""What happens to one conversation when everybody speaks at the same moment."""

import asyncio
from collections import Counter

import pytest

from metachat.domain import channels, conversations, events
from metachat.domain.channels import Inbound
from metachat.domain.conversations import Message, Reply
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, MessageId, TenantId, uuid7
from metachat.foundation.scope import open_scope

AT_ONCE = 12


class Room:
    """One conversation that many speak in."""

    def __init__(self, database: Database, tenant: TenantId, channel: channels.Channel) -> None:
        self.database, self.tenant, self.channel = database, tenant, channel
        self.id = ConversationId(uuid7())

    async def begin(self) -> None:
        """Open the conversation."""
        async with open_scope(self.database, self.tenant, actor="cli") as scope:
            self.id = (await conversations.start(scope, self.channel.id, "ana")).id

    async def customer_says(self, key: str) -> Message:
        """Take in a message."""
        inbound = Inbound(self.channel.id, "ana", key, f"message {key}")
        async with open_scope(self.database, self.tenant, actor="visitor:ana") as scope:
            return await conversations.receive_in(scope, self.id, inbound)

    async def answers(self, gathered: conversations.Gathered, text: str) -> Message | None:
        """Try to be the one who answers."""
        async with open_scope(self.database, self.tenant, actor="worker") as scope:
            return await conversations.answer(scope, gathered, MessageId(uuid7()), Reply(text, language="de"))

    async def events(self) -> Counter[str]:
        """How often each kind of event was recorded."""
        async with open_scope(self.database, self.tenant, actor="cli") as scope:
            return Counter(event.kind for event in await events.read_after(scope, 0, limit=100))

    async def transcript(self) -> list[Message]:
        """Everything that was said."""
        async with open_scope(self.database, self.tenant, actor="cli") as scope:
            return await conversations.transcript(scope, self.id)


@pytest.fixture
async def room(app_db: Database, tenant: TenantId) -> Room:
    """A conversation that was just opened."""
    async with open_scope(app_db, tenant, actor="cli") as scope:
        room = Room(app_db, tenant, await channels.create(scope, "webchat", "Shop"))
    await room.begin()
    return room


async def test_messages_get_numbers_without_gap_and_doubles_get_the_same(room: Room) -> None:
    keys = [f"key-{number % AT_ONCE}" for number in range(2 * AT_ONCE)]
    taken = await asyncio.gather(*(room.customer_says(key) for key in keys))
    assert len({message.id for message in taken}) == AT_ONCE
    said = await room.transcript()
    assert [message.seq for message in said] == list(range(1, AT_ONCE + 1))
    assert {message.id for message in said} == {message.id for message in taken}
    assert (await room.events())["message.received"] == AT_ONCE
    async with open_scope(room.database, room.tenant, actor="cli") as scope:
        assert (await conversations.find(scope, room.id)).last_seq == AT_ONCE


async def test_of_many_answers_one_counts_while_the_customer_goes_on(room: Room) -> None:
    await room.customer_says("question")
    async with open_scope(room.database, room.tenant, actor="worker") as scope:
        gathered = await conversations.gather(scope, room.id)
    assert gathered is not None
    answering = [room.answers(gathered, f"answer {number}") for number in range(AT_ONCE)]
    asking = [room.customer_says(f"more-{number}") for number in range(AT_ONCE)]
    answers, _ = await asyncio.gather(asyncio.gather(*answering), asyncio.gather(*asking))
    (first,) = [answer for answer in answers if answer is not None]
    said = await room.transcript()
    assert [message.seq for message in said] == list(range(1, AT_ONCE + 3))
    assert [message.id for message in said if message.author == "assistant"] == [first.id]
    assert [message.text for message in said if message.answered_by == first.id] == ["message question"]
    assert (await room.events())["message.sent"] == 1
    async with open_scope(room.database, room.tenant, actor="cli") as scope:
        assert (await conversations.find(scope, room.id)).language == "de"


async def test_an_answer_to_two_counts_for_nothing_once_one_of_them_is_answered(room: Room) -> None:
    await room.customer_says("one")
    async with open_scope(room.database, room.tenant, actor="worker") as scope:
        early = await conversations.gather(scope, room.id)
    await room.customer_says("two")
    async with open_scope(room.database, room.tenant, actor="worker") as scope:
        late = await conversations.gather(scope, room.id)
    assert early is not None
    assert late is not None
    assert await room.answers(early, "to the first") is not None
    assert await room.answers(late, "to both") is None
    said = await room.transcript()
    assert [(message.author, message.answered_by is None) for message in said] == [
        ("customer", False),
        ("customer", True),
        ("assistant", True),
    ]
