"""What every verb does to a conversation that it holds: add a message, change the state, announce both."""

from datetime import datetime
from typing import Any

from metachat.domain.conversations import phrases, store
from metachat.domain.conversations.model import (
    Conversation,
    ConversationNotFound,
    Message,
    Reply,
    State,
    preview,
)
from metachat.foundation.ids import ConversationId, MessageId, UserId, uuid7
from metachat.foundation.log import current_correlation_id
from metachat.foundation.scope import Scope


async def lock(scope: Scope, id: ConversationId) -> Conversation:
    """Hold a conversation until this transaction ends; raises ConversationNotFound."""
    row = await scope.db.one(store.LOCK, tenant=scope.tenant, id=id)
    if row is None:
        raise ConversationNotFound
    return Conversation(**row)


async def add_message(
    scope: Scope,
    conversation: Conversation,
    reply: Reply,
    *,
    id: MessageId | None = None,
    provider_id: str | None = None,
    provider_at: datetime | None = None,
) -> Message | None:
    """Add a message, and its event, to a conversation that is held.

    None when this delivery was taken in before.
    """
    values = _values(scope, conversation.id, id or MessageId(uuid7()), reply)
    row = await scope.db.one(store.ADD_MESSAGE, **values, provider_id=provider_id, provider_at=provider_at)
    return None if row is None else _announced(scope, Message(**row))


async def add_answer(
    scope: Scope, conversation: Conversation, reply: Reply, *, id: MessageId, to: list[MessageId]
) -> Message | None:
    """Answer messages of a conversation that is held; None, and nothing added, unless all are still open."""
    values = _values(scope, conversation.id, id, reply)
    row = await scope.db.one(store.ANSWER, **values, answered=to, provider_id=None, provider_at=None)
    return None if row is None else _announced(scope, Message(**row))


def _values(scope: Scope, conversation: ConversationId, id: MessageId, reply: Reply) -> dict[str, Any]:
    return {
        "tenant": scope.tenant, "id": conversation, "message": id, "now": scope.now,
        "author": reply.author, "author_id": reply.author_id, "text": reply.text,
        "preview": preview(reply.text), "status": "received" if reply.author == "customer" else "sent",
        "declined": reply.declined, "citations": reply.citations, "detail": reply.detail,
        "language": reply.language, "correlation": current_correlation_id(),
    }  # fmt: skip


def _announced(scope: Scope, message: Message) -> Message:
    conversation = str(message.conversation_id)
    news = {"type": "message", "id": str(message.id), "seq": message.seq}
    scope.db.announce(f"conversation:{conversation}", news)
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": conversation})
    return message


async def say(scope: Scope, conversation: Conversation, phrase: phrases.Phrase) -> Message:
    """Add one of the platform's own sentences, in the conversation's language."""
    text = phrases.say(phrase, conversation.speaks)
    message = await add_message(scope, conversation, Reply(text, author="system", detail={"phrase": phrase}))
    assert message is not None
    return message


async def set_state(
    scope: Scope, conversation: Conversation, state: State, owner: UserId | None = None
) -> None:
    """Change who answers; an answer in the making ends where the assistant is silenced."""
    values = {"tenant": scope.tenant, "id": conversation.id}
    await scope.db.execute(store.SET_STATE, **values, state=state, owner=owner, now=scope.now)
    if state != "assistant":
        await scope.db.execute(store.DROP_DRAFT, **values)
    scope.db.announce(f"conversation:{conversation.id}", {"type": "state", "state": state})
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": str(conversation.id)})


async def mark_all_answered(scope: Scope, id: ConversationId, *, by: MessageId) -> None:
    """Whatever the customer has asked so far is answered by this message."""
    await scope.db.execute(store.MARK_ALL_ANSWERED, tenant=scope.tenant, id=id, reply=by)
