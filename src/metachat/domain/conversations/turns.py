"""A turn of the assistant, seen from the conversation: what it answers, its draft, and its commit."""

from typing import Any

import msgspec

from metachat.domain import events
from metachat.domain.channels import quiet_seconds
from metachat.domain.conversations import phrases, store, writing
from metachat.domain.conversations.actions import hand_off
from metachat.domain.conversations.model import (
    Conversation,
    ConversationNotFound,
    Draft,
    Gathered,
    Message,
    Reply,
    in_order,
    spoken_language,
)
from metachat.foundation.ids import ConversationId, MessageId
from metachat.foundation.scope import Scope

HISTORY_LENGTH = 20
# The channels whose readers see an answer grow.
_STREAMED = ("webchat", "test")


async def gather(scope: Scope, id: ConversationId) -> Gathered | None:
    """Collect what the assistant has to answer; None when it is silenced or nothing is open.

    Raises ConversationNotFound.
    """
    row = await scope.db.one(store.GATHER, tenant=scope.tenant, id=id, limit=HISTORY_LENGTH)
    if row is None:
        raise ConversationNotFound
    return gathered(row)


def gathered(row: dict[str, Any]) -> Gathered | None:
    """Read what a conversation has to answer; None when the assistant is silenced or nothing is open."""
    unanswered = in_order(msgspec.convert(row.pop("unanswered"), list[Message]))
    history = in_order(msgspec.convert(row.pop("history"), list[Message]))
    kind = row.pop("kind")
    quiet = quiet_seconds(kind, row.pop("quiet"))
    conversation = Conversation(**row)
    if conversation.state != "assistant" or not unanswered:
        return None
    return Gathered(conversation, unanswered, history, quiet, streamed=kind in _STREAMED)


async def save_draft(scope: Scope, id: ConversationId, draft: Draft) -> None:
    """Keep what an answer has said so far, for readers who come in its middle."""
    values = {"tenant": scope.tenant, "id": id}
    await scope.db.execute(store.SAVE_DRAFT, **values, message=draft.message_id, text=draft.text)


async def find_draft(scope: Scope, id: ConversationId) -> Draft | None:
    """Gives what the answer in the making has said so far; None when none is being made."""
    row = await scope.db.one(store.FIND_DRAFT, tenant=scope.tenant, id=id)
    return None if row is None else Draft(**row)


async def answer(scope: Scope, gathered: Gathered, reply_id: MessageId, reply: Reply) -> Message | None:
    """Commit the one answer to what was gathered; None, and nothing written, when it comes too late.

    Too late is an answer to messages that are answered already (another worker was faster), or in a
    conversation that a person has taken over meanwhile.
    """
    id = gathered.conversation.id
    conversation = await writing.lock(scope, id)
    if conversation.state != "assistant":
        await scope.db.execute(store.DROP_DRAFT, tenant=scope.tenant, id=id)
        return None
    answered = [message.id for message in gathered.unanswered]
    return await writing.add_answer(scope, conversation, reply, id=reply_id, to=answered)


async def apologise(
    scope: Scope, gathered: Gathered, reply_id: MessageId, *, reason: str, language: str | None
) -> Message | None:
    """Say that no answer can be made, and let the customer wait for a person; None when it comes too late."""
    conversation = gathered.conversation
    spoken = spoken_language(language, conversation.language, conversation.locale)
    apology = Reply(phrases.say("apology", spoken), language=spoken, detail={"failed": reason})
    message = await answer(scope, gathered, reply_id, apology)
    if message is not None:
        await writing.set_state(scope, conversation.id, "waiting")
        await events.record(scope, "handoff.requested", subject=conversation.id, reason=reason)
    return message


async def pass_on(scope: Scope, gathered: Gathered, *, language: str | None) -> None:
    """Let a customer who asks for a person wait for one, and tell them so in their language."""
    id = gathered.conversation.id
    if language is not None and gathered.conversation.language is None:
        await scope.db.execute(store.SET_LANGUAGE, tenant=scope.tenant, id=id, language=language)
    await hand_off(scope, id)
