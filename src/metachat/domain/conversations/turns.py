"""A turn of the assistant, seen from the conversation: what it answers, its draft, and its commit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from metachat.domain import events
from metachat.domain.channels import Channel
from metachat.domain.conversations import phrases, store, writing
from metachat.domain.conversations.actions import hand_off
from metachat.domain.conversations.model import (
    Conversation,
    ConversationNotFound,
    Draft,
    Gathered,
    Message,
    Reply,
    Said,
    in_order,
    preview,
    spoken_language,
)
from metachat.domain.conversations.together import store as together
from metachat.foundation.ids import ConversationId, MessageId
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue import Job, Succession, ending, note_over
from metachat.foundation.scope import Scope

HISTORY_LENGTH = 20


class Opened(msgspec.Struct):
    """What a turn begins with, as `open_conversations` gives it.

    assistant is what the tenant has settled of it, None where that is nothing.
    """

    conversation: Conversation
    channel: Channel
    unanswered: list[Message]
    history: list[Said]
    assistant: dict[str, Any] | None

    @property
    def gathered(self) -> Gathered | None:
        """What the assistant has to answer; None when it is silenced or nothing is open."""
        if self.conversation.state != "assistant" or not self.unanswered:
            return None
        unanswered, history = in_order(self.unanswered), in_order(self.history)
        return Gathered(self.conversation, self.channel, unanswered, history)


_opened = msgspec.json.Decoder(Opened)


def read_opened(opened: str) -> Opened:
    """Read what the database has brought together."""
    return _opened.decode(opened)


async def open_all(scope: Scope, ids: Collection[ConversationId]) -> dict[ConversationId, Opened]:
    """Read what turns begin with; a conversation that is not there is absent."""
    rows = await scope.db.all(together.OPEN, tenant=scope.tenant, ids=list(ids), beside=HISTORY_LENGTH)
    return {row["id"]: read_opened(row["opened"]) for row in rows}


async def gather(scope: Scope, id: ConversationId) -> Gathered | None:
    """Collect what the assistant has to answer; None when it is silenced or nothing is open.

    Raises ConversationNotFound.
    """
    found = await open_all(scope, [id])
    if id not in found:
        raise ConversationNotFound
    return found[id].gathered


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
    given = Given(gathered, reply_id, reply, current_correlation_id())
    said, _ = await answer_all(scope, [given])
    return said.get(reply_id)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to be committed, under the id that it will have, with the job that it ends."""

    gathered: Gathered
    id: MessageId
    reply: Reply
    correlation: str | None
    job: Job | None = None


async def answer_all(
    scope: Scope, given: Sequence[Given], deliveries: Succession | None = None
) -> tuple[dict[MessageId, Message], set[int]]:
    """Answer, and end the answers' jobs; gives what was said, and which jobs ended.

    The deliveries for which there are places begin after the commit.
    """
    replies = [one.reply for one in given]
    jobs = [one.job for one in given if one.job is not None]
    rows = await scope.db.all(
        together.answer(len(given)),
        tenant=scope.tenant, now=scope.now, places=deliveries.count if deliveries else 0,
        holder=deliveries.owner if deliveries else None, lease=deliveries.lease if deliveries else 0.0,
        ids=[one.gathered.conversation.id for one in given], messages=[one.id for one in given],
        texts=[reply.text for reply in replies], previews=[preview(reply.text) for reply in replies],
        declined=[reply.declined for reply in replies],
        citations=[_as_json(reply.citations) for reply in replies],
        details=[reply.detail for reply in replies], languages=[reply.language for reply in replies],
        correlations=[one.correlation for one in given],
        counts=[len(one.gathered.unanswered) for one in given],
        answered=[message.id for one in given for message in one.gathered.unanswered],
        streamed=[one.gathered.conversation.id for one in given if one.gathered.streamed],
        **ending(jobs),
    )  # fmt: skip
    by_id = {one.id: one for one in given}
    said: dict[MessageId, Message] = {}
    begun: list[Job] = []
    for row in rows:
        if (id := row["message"]) is None:
            continue
        said[id] = _said(scope, by_id[id], row)
        if deliveries is not None and row["delivery"] is not None:
            of, payload = str(by_id[id].gathered.conversation.id), {"message": str(id)}
            correlation = by_id[id].correlation
            begun.append(deliveries.job(row["delivery"], "deliver", of, payload, correlation, row["begun"]))
    if deliveries is not None:
        deliveries.begin(scope.db, begun)
    return said, note_over(scope.db, jobs, rows)


def _as_json(citations: list[dict[str, Any]]) -> str:
    # As values of an array they would be taken for its further dimensions.
    return msgspec.json.encode(citations).decode()


def _said(scope: Scope, given: Given, row: dict[str, Any]) -> Message:
    reply = given.reply
    message = Message(
        id=given.id, conversation_id=given.gathered.conversation.id, seq=row["seq"], author=reply.author,
        author_id=None, text=reply.text, provider_id=None, status=row["status"], declined=reply.declined,
        citations=reply.citations, detail=reply.detail, answered_by=None, provider_at=None,
        created_at=scope.now,
    )  # fmt: skip
    patience = 0 if given.gathered.streamed else writing.UNHURRIED
    return writing.announced(scope, message, waking=row["delivery"] is None, patience=patience)


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
