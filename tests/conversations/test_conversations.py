"""Conversations as customers and the team live them, in the database itself."""

import pytest

from metachat.domain import channels, conversations
from metachat.domain.channels import Channel, Inbound
from metachat.domain.conversations import (
    ConversationClosed,
    ConversationNotFound,
    Cursor,
    NotAMember,
    Reply,
    asks_for_person,
)
from metachat.foundation.db import Database
from metachat.foundation.ids import ConversationId, MessageId, TenantId, UserId, uuid7
from metachat.foundation.scope import open_scope


@pytest.fixture
async def channel(app_db: Database, tenant: TenantId) -> Channel:
    """The tenant's web chat."""
    async with open_scope(app_db, tenant, actor="cli") as scope:
        return await channels.create(scope, "webchat", "Shop")


@pytest.fixture
async def agent(app_db: Database, tenant: TenantId) -> UserId:
    """A member who answers customers."""
    id = UserId(uuid7())
    async with app_db.transaction(tenant=tenant, credential=str(id)) as db:
        await db.execute(
            "INSERT INTO users (id, email, password_hash) VALUES (:id, :email, 'none')",
            id=id, email=f"{id}@acme.example",
        )  # fmt: skip
        await db.execute(
            "INSERT INTO members (tenant_id, user_id, role) VALUES (:tenant, :id, 'agent')",
            tenant=tenant,
            id=id,
        )
    return id


class Story:
    """One conversation, and short names for what happens in it."""

    def __init__(self, database: Database, channel: Channel) -> None:
        self.database, self.channel = database, channel
        self.id = ConversationId(uuid7())
        self._count = 0

    async def customer_says(self, text: str, key: str | None = None) -> conversations.Message:
        """Take in a message as a provider would deliver it."""
        self._count += 1
        inbound = Inbound(self.channel.id, "ana", key or f"message-{self._count}", text)
        async with open_scope(self.database, self.channel.tenant_id, actor="visitor:ana") as scope:
            message = await conversations.receive(scope, inbound)
        self.id = message.conversation_id
        return message

    async def transcript(self) -> list[tuple[str, str]]:
        """Who said what."""
        async with open_scope(self.database, self.channel.tenant_id, actor="cli") as scope:
            return [(m.author, m.text) for m in await conversations.transcript(scope, self.id)]

    async def authors(self) -> list[str]:
        """Who spoke, in order."""
        return [author for author, _ in await self.transcript()]

    async def state(self) -> str:
        """Who is to answer."""
        async with open_scope(self.database, self.channel.tenant_id, actor="cli") as scope:
            return (await conversations.find(scope, self.id)).state


@pytest.fixture
def story(app_db: Database, channel: Channel) -> Story:
    """A conversation that is about to begin."""
    return Story(app_db, channel)


async def test_a_second_delivery_changes_nothing(story: Story, worker_db: Database) -> None:
    first = await story.customer_says("Hello", key="wamid-1")
    second = await story.customer_says("Hello", key="wamid-1")
    assert first == second
    assert await story.authors() == ["customer"]
    async with worker_db.transaction() as db:
        assert await db.value("SELECT count(*) FROM jobs WHERE kind = 'turn'") == 1


async def test_an_agent_who_answers_has_taken_over(story: Story, agent: UserId, worker_db: Database) -> None:
    await story.customer_says("Is anybody there?")
    tenant = story.channel.tenant_id
    async with open_scope(story.database, tenant, actor=f"user:{agent}", member=agent) as scope:
        await conversations.agent_reply(scope, story.id, "I am!", agent=agent)
    assert await story.state() == "assigned"
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        assert await conversations.gather(scope, story.id) is None, "the assistant is silent"
    async with open_scope(story.database, tenant, actor=f"user:{agent}", member=agent) as scope:
        await conversations.release(scope, story.id)
    await story.customer_says("Thanks; and how long is delivery?")
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        gathered = await conversations.gather(scope, story.id)
    assert gathered is not None
    assert gathered.question == "Thanks; and how long is delivery?", "the agent answered the rest"
    assert await story.authors() == ["customer", "system", "agent", "system", "customer"]


async def test_an_answer_that_comes_after_a_takeover_is_dropped(
    story: Story, agent: UserId, worker_db: Database
) -> None:
    await story.customer_says("A question")
    tenant = story.channel.tenant_id
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        gathered = await conversations.gather(scope, story.id)
    assert gathered is not None
    async with open_scope(story.database, tenant, actor="cli") as scope:
        await conversations.hand_off(scope, story.id, to=agent)
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        late = await conversations.answer(scope, gathered, MessageId(uuid7()), Reply("Too late"))
    assert late is None
    assert await story.authors() == ["customer", "system"]


async def test_of_two_answers_to_one_question_the_first_one_counts(story: Story, worker_db: Database) -> None:
    await story.customer_says("A question")
    tenant = story.channel.tenant_id
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        gathered = await conversations.gather(scope, story.id)
    assert gathered is not None
    for text in ("first", "second"):
        async with open_scope(worker_db, tenant, actor="worker") as scope:
            await conversations.answer(scope, gathered, MessageId(uuid7()), Reply(text))
    assert await story.transcript() == [("customer", "A question"), ("assistant", "first")]


async def test_a_closed_conversation_opens_again_when_the_customer_writes(
    story: Story, agent: UserId
) -> None:
    await story.customer_says("Hello")
    tenant = story.channel.tenant_id
    async with open_scope(story.database, tenant, actor="cli") as scope:
        await conversations.close(scope, story.id)
    with pytest.raises(ConversationClosed):
        async with open_scope(story.database, tenant, actor="cli") as scope:
            await conversations.agent_reply(scope, story.id, "One more thing", agent=agent)
    await story.customer_says("Hello again")
    assert await story.state() == "assistant"


async def test_only_members_take_over(story: Story) -> None:
    await story.customer_says("Hello")
    with pytest.raises(NotAMember):
        async with open_scope(story.database, story.channel.tenant_id, actor="cli") as scope:
            await conversations.hand_off(scope, story.id, to=UserId(uuid7()))


async def test_a_stranger_finds_nothing(story: Story, stranger: TenantId) -> None:
    await story.customer_says("Hello")
    async with open_scope(story.database, stranger, actor="cli") as scope:
        assert await conversations.list_conversations(scope, limit=10) == []
        assert await conversations.transcript(scope, story.id) == []
    for verb in (conversations.find, conversations.close, conversations.release, conversations.hand_off):
        with pytest.raises(ConversationNotFound):
            async with open_scope(story.database, stranger, actor="cli") as scope:
                await verb(scope, story.id)


async def test_the_inbox_lists_the_latest_first_and_goes_on_from_a_cursor(
    app_db: Database, channel: Channel
) -> None:
    for name in ("one", "two", "three"):
        async with open_scope(app_db, channel.tenant_id, actor="cli") as scope:
            await conversations.receive(scope, Inbound(channel.id, name, f"id-{name}", f"I am {name}"))
    async with open_scope(app_db, channel.tenant_id, actor="cli") as scope:
        trial = await channels.test_channel(scope)
        await conversations.receive(scope, Inbound(trial.id, "trial", "id-trial", "Only a test"))
        page = await conversations.list_conversations(scope, limit=2)
        rest = await conversations.list_conversations(
            scope, limit=2, after=Cursor(page[-1].updated_at, page[-1].id)
        )
    assert [found.last_text for found in [*page, *rest]] == ["I am three", "I am two", "I am one"]


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a human", "can I speak with someone please", "Connect me to an agent",
        "get me a real person", "human please", "Human", "I'd like to chat with customer support",
        "Ich möchte mit einem Mitarbeiter sprechen", "Kann ich bitte mit jemandem reden?",
        "Verbinden Sie mich mit dem Kundendienst", "Mensch bitte", "Ich will einen echten Menschen",
        "Želim razgovarati s operaterom", "Mogu li razgovarati sa stvarnom osobom?",
        "Spojite me s korisničkom službom", "Trebam živog čovjeka", "operater",
    ],
)  # fmt: skip
def test_a_wish_for_a_person_is_heard(text: str) -> None:
    assert asks_for_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "How many persons fit into the Kar 2?", "Is the tent good for one person?",
        "Does the customer service answer on Sundays?", "I don't want to talk to a human",
        "Für wie viele Personen ist das Zelt?", "Wann ist der Kundendienst erreichbar?",
        "Ich möchte nicht mit einem Menschen sprechen", "Kann ich mit Karte zahlen?",
        "Koliko osoba stane u šator?", "Kada radi korisnička služba?", "Ne želim razgovarati s osobom",
        "I need a tent for a tall person", "Can I talk about my order?",
    ],
)  # fmt: skip
def test_talk_about_people_is_no_such_wish(text: str) -> None:
    assert not asks_for_person(text)
