"""The verbs of conversations that customers and the team call."""

from typing import Any
from uuid import UUID

from metachat.domain import events
from metachat.domain.channels import Inbound
from metachat.domain.conversations import phrases, store, writing
from metachat.domain.conversations.model import (
    Conversation,
    ConversationClosed,
    ConversationNotFound,
    Message,
    NotAMember,
    Reply,
    State,
    clean,
)
from metachat.foundation.ids import ChannelId, ContactId, ConversationId, MessageId, UserId, uuid7
from metachat.foundation.queue import debounce, enqueue
from metachat.foundation.scope import Scope

# However much a customer writes, they get an answer after so many times the quiet.
LONGEST_BURST = 5


async def start(
    scope: Scope, channel: ChannelId, external_id: str, *, locale: str | None = None, name: str = ""
) -> Conversation:
    """Open a conversation with a contact, who is made known if new."""
    who = {"tenant": scope.tenant, "channel": channel, "external": external_id}
    contact = ContactId(await scope.db.value(store.ADD_CONTACT, **who, id=uuid7(), name=name, locale=locale))
    id = ConversationId(uuid7())
    await scope.db.execute(
        store.ADD_CONVERSATION, tenant=scope.tenant, id=id, channel=channel, contact=contact
    )
    await events.record(scope, "conversation.created", subject=id, channel=str(channel))
    return await find(scope, id)


async def find(scope: Scope, id: ConversationId) -> Conversation:
    """Find a conversation; raises ConversationNotFound."""
    row = await scope.db.one(store.FIND, tenant=scope.tenant, id=id)
    if row is None:
        raise ConversationNotFound
    return Conversation(**row)


async def receive(scope: Scope, inbound: Inbound) -> Message:
    """Take in a customer's message: message, event and the assistant's turn, in this one transaction.

    A second delivery of the same message gives the first one and changes nothing.
    """
    who = {"tenant": scope.tenant, "channel": inbound.channel, "external": inbound.external_id}
    row = await scope.db.one(store.LATEST_OF, **who)
    if row is None:
        started = await start(
            scope, inbound.channel, inbound.external_id, locale=inbound.locale, name=inbound.name
        )
        return await receive_in(scope, started.id, inbound)
    return await receive_in(scope, row["id"], inbound)


async def receive_in(scope: Scope, id: ConversationId, inbound: Inbound) -> Message:
    """Take in a message of a conversation that the caller knows already; see `receive`."""
    text = clean(inbound.text)
    said = Reply(text, author="customer", detail=detail_of(inbound))
    taken = await writing.take_in(scope, id, said, inbound)
    if taken.message is None:
        return await _delivered_before(scope, id, inbound.provider_id)
    if taken.state == "closed":
        await writing.set_state(scope, id, "assistant")
    if taken.state in ("assistant", "closed"):
        await enqueue_turn(scope, id, quiet=taken.quiet)
    return taken.message


async def hand_off(
    scope: Scope, id: ConversationId, *, to: UserId | None = None, reason: str = "asked"
) -> Conversation:
    """Silence the assistant: a member takes over, or (to None) the customer waits for one.

    Asking twice changes nothing; raises NotAMember, ConversationClosed.
    """
    conversation = await writing.lock(scope, id)
    state: State = "waiting" if to is None else "assigned"
    if conversation.state == "closed":
        raise ConversationClosed
    if to is not None and not await scope.db.value(store.IS_MEMBER, tenant=scope.tenant, member=to):
        raise NotAMember
    if (conversation.state, conversation.owner_id) == (state, to) or (
        to is None and conversation.state == "assigned"
    ):
        return conversation
    phrase: phrases.Phrase = "handed_off" if to is None else "taken_over"
    message = await writing.say(scope, conversation, phrase)
    if to is None:
        await writing.mark_all_answered(scope, id, by=message.id)
        await events.record(scope, "handoff.requested", subject=id, reason=reason)
    await writing.set_state(scope, id, state, owner=to)
    return await find(scope, id)


async def agent_reply(
    scope: Scope, id: ConversationId, text: str, *, agent: UserId, template: dict[str, Any] | None = None
) -> Message:
    """Answer as a person; whoever answers has taken over. Raises NotAMember, ConversationClosed.

    template is what the channel's provider sends in the text's place, in its own description.
    """
    text = clean(text)
    conversation = await writing.lock(scope, id)
    if conversation.state == "closed":
        raise ConversationClosed
    if (conversation.state, conversation.owner_id) != ("assigned", agent):
        conversation = await hand_off(scope, id, to=agent)
    said = Reply(text, author="agent", author_id=agent, detail={"template": template} if template else {})
    message = await writing.add_message(scope, conversation, said)
    await writing.mark_all_answered(scope, id, by=message.id)
    return message


async def release(scope: Scope, id: ConversationId) -> Conversation:
    """Give a conversation back to the assistant, who answers what is still open."""
    conversation = await writing.lock(scope, id)
    if conversation.state == "closed":
        raise ConversationClosed
    if conversation.state != "assistant":
        await writing.say(scope, conversation, "released")
        await writing.set_state(scope, id, "assistant")
        await enqueue_turn(scope, id)
    return await find(scope, id)


async def close(scope: Scope, id: ConversationId) -> Conversation:
    """Close a conversation; what is open in it needs no answer any more."""
    conversation = await writing.lock(scope, id)
    if conversation.state != "closed":
        message = await writing.say(scope, conversation, "closed")
        await writing.mark_all_answered(scope, id, by=message.id)
        await writing.set_state(scope, id, "closed")
    return await find(scope, id)


async def end(scope: Scope, id: ConversationId) -> None:
    """Close a conversation without a word: nobody reads there any more."""
    await writing.lock(scope, id)
    await writing.set_state(scope, id, "closed")


async def enqueue_turn(scope: Scope, id: ConversationId, *, quiet: float = 0.0) -> None:
    """Let the assistant take its turn: after this commit, or once the customer was quiet for so long."""
    lane = f"conversation:{id}"
    payload = {"conversation": str(id)}
    if not quiet:
        await enqueue(scope.db, "turn", payload, lane=lane, tenant=scope.tenant)
        return
    await debounce(
        scope.db, "turn", payload, lane=lane, tenant=scope.tenant, dedupe_key=f"turn:{id}",
        quiet=quiet, longest=quiet * LONGEST_BURST,
    )  # fmt: skip


async def _delivered_before(scope: Scope, id: ConversationId, provider_id: str) -> Message:
    row = await scope.db.one(store.FIND_DELIVERED, tenant=scope.tenant, id=id, provider_id=provider_id)
    if row is None:  # the id is taken by somebody else's message, which is none of this caller's business
        raise ConversationNotFound
    return Message(**row)


def detail_of(inbound: Inbound) -> dict[str, Any]:
    """What a message's detail tells of what came in."""
    return dict(inbound.detail) if inbound.form == "text" else {"form": inbound.form, **inbound.detail}


def message_id(text: str) -> MessageId:
    """Read a message's id as it travels in events and jobs."""
    return MessageId(UUID(text))
