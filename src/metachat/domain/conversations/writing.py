"""What every verb does to a conversation that it holds: add a message, change the state, announce both."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from metachat.domain.channels import Inbound, quiet_seconds
from metachat.domain.conversations import phrases, store
from metachat.domain.conversations.model import (
    Conversation,
    ConversationNotFound,
    Gathered,
    Message,
    Reply,
    State,
    preview,
)
from metachat.foundation.ids import ConversationId, MessageId, UserId, uuid7
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue.store import wake
from metachat.foundation.scope import Scope

# News of a message carries the message itself up to this many bytes, so that nobody has to read it again;
# a notification of Postgres holds 8,000.
_CARRIED = 6_000


async def lock(scope: Scope, id: ConversationId) -> Conversation:
    """Hold a conversation until this transaction ends; raises ConversationNotFound."""
    row = await scope.db.one(store.LOCK, tenant=scope.tenant, id=id)
    if row is None:
        raise ConversationNotFound
    return Conversation(**row)


@dataclass(frozen=True, slots=True)
class Taken:
    """A customer's message that was added, None when it was delivered before.

    state tells who answers there, quiet how many seconds the customer is given to write more.
    """

    state: State
    quiet: float
    message: Message | None


async def take_in(scope: Scope, id: ConversationId, said: Reply, inbound: Inbound) -> Taken:
    """Hold a conversation, and add a customer's message with its event; raises ConversationNotFound."""
    values = _values(scope, id, MessageId(uuid7()), said)
    delivery = {"provider_id": inbound.provider_id, "provider_at": inbound.provider_at}
    row = await scope.db.one(store.RECEIVE, **{**values, **delivery})
    if row is None:
        raise ConversationNotFound
    state, quiet = row.pop("state"), quiet_seconds(row.pop("kind"), row.pop("quiet"))
    return Taken(state, quiet, None if row["id"] is None else announced(scope, Message(**row)))


async def add_message(scope: Scope, conversation: Conversation, reply: Reply) -> Message:
    """Add a message, and its event, to a conversation that is held."""
    row = await scope.db.one(store.ADD_MESSAGE, **_values(scope, conversation.id, MessageId(uuid7()), reply))
    assert row is not None
    return announced(scope, Message(**row))


async def add_told(
    scope: Scope, conversation: Conversation, said: Reply, provider_id: str, at: datetime | None
) -> Message | None:
    """Add what the business said elsewhere, as the provider tells of it; None when it was told before."""
    values = _values(scope, conversation.id, MessageId(uuid7()), said)
    told = {"provider_id": provider_id, "provider_at": at}
    row = await scope.db.one(store.ADD_MESSAGE, **{**values, **told})
    return None if row is None else announced(scope, Message(**row))


def _values(scope: Scope, conversation: ConversationId, id: MessageId, reply: Reply) -> dict[str, Any]:
    return {
        "tenant": scope.tenant, "id": conversation, "message": id, "now": scope.now,
        "author": reply.author, "author_id": reply.author_id, "text": reply.text,
        "preview": preview(reply.text), "status": "received" if reply.author == "customer" else "sent",
        "declined": reply.declined, "citations": reply.citations, "detail": reply.detail,
        "language": reply.language, "correlation": current_correlation_id(),
        "provider_id": None, "provider_at": None,
    }  # fmt: skip


# How long news may wait for others, in seconds, where no customer reads along: each round of news wakes every
# process that listens.
UNHURRIED = 0.08


def announced(scope: Scope, message: Message, *, waking: bool = True, patience: float = 0) -> Message:
    """Tell readers of a message, and (waking) the workers of its delivery, after the commit."""
    conversation = str(message.conversation_id)
    news: dict[str, Any] = {"type": "message", "id": str(message.id), "seq": message.seq}
    content = msgspec.json.encode(message)
    if len(content) <= _CARRIED:
        news["message"] = msgspec.Raw(content)
    scope.db.announce(f"conversation:{conversation}", news, patience)
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": conversation}, UNHURRIED)
    if waking and message.status == "queued":
        wake(scope.db, f"delivery:{conversation}", scope.tenant)
    return message


async def say(scope: Scope, conversation: Conversation, phrase: phrases.Phrase) -> Message:
    """Add one of the platform's own sentences, in the conversation's language."""
    text = phrases.say(phrase, conversation.speaks)
    return await add_message(scope, conversation, Reply(text, author="system", detail={"phrase": phrase}))


async def set_state(scope: Scope, id: ConversationId, state: State, owner: UserId | None = None) -> None:
    """Change who answers; an answer in the making ends where the assistant is silenced."""
    values = {"tenant": scope.tenant, "id": id}
    await scope.db.execute(store.SET_STATE, **values, state=state, owner=owner, now=scope.now)
    if state != "assistant":
        await scope.db.execute(store.DROP_DRAFT, **values)
    scope.db.announce(f"conversation:{id}", {"type": "state", "state": state})
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": str(id)})


async def mark_answered(scope: Scope, gathered: Gathered, *, by: MessageId) -> None:
    """What a turn has gathered is answered by this message; what came since is the next turn's."""
    answered = [message.id for message in gathered.unanswered]
    values = {"tenant": scope.tenant, "id": gathered.conversation.id, "answered": answered}
    await scope.db.execute(store.MARK_ANSWERED, **values, reply=by)


async def mark_all_answered(scope: Scope, id: ConversationId, *, by: MessageId) -> None:
    """Whatever the customer has asked so far is answered by this message."""
    await scope.db.execute(store.MARK_ALL_ANSWERED, tenant=scope.tenant, id=id, reply=by)
