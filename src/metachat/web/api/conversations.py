"""Conversations: lists, transcripts, and what the team does in them."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, QueryParameter

from metachat.domain import conversations
from metachat.domain.accounts import ApiScope, NotAllowed, Role
from metachat.domain.conversations import Conversation, Message, State, attachments
from metachat.domain.conversations.attachments import Attachment, AttachmentId
from metachat.foundation.ids import ConversationId, MessageId, UserId
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.api.attachments import AttachmentView, view
from metachat.web.api.fields import Cursor, Limit, Words
from metachat.web.api.paging import Page, after_moment, after_number, page
from metachat.web.api.writing import Rights, write

StateFilter = Annotated[State | None, QueryParameter(description="Only conversations in this state.")]
Step: TypeAlias = Callable[[Scope, ConversationId], Awaitable[Conversation]]

_MAY_WORK = Rights(Role.AGENT, ApiScope.CONVERSATIONS_WRITE)


class TalkView(msgspec.Struct, frozen=True):
    """A conversation; owner_id is the member who has taken over."""

    id: UUID
    channel_id: UUID
    contact_id: UUID
    contact_name: str
    state: State
    owner_id: UUID | None
    language: str | None
    last_text: str
    last_seq: int
    created_at: datetime
    updated_at: datetime


class MessageView(msgspec.Struct, frozen=True):
    """A message; citations are its sources in the order of their numbers in the text.

    form tells what it is made of. content holds what the text doesn't say: location, contacts, choice, order,
    reply_to, referral, reaction, edited, deleted, errors. attachments are its files. delivery tells what it
    waits for (waiting) or why it could not be delivered (failed), and whether a template took its place.
    """

    id: UUID
    seq: int
    author: str
    author_id: UUID | None
    text: str
    status: str
    declined: bool
    citations: list[dict[str, Any]]
    created_at: datetime
    form: str
    content: dict[str, Any]
    attachments: list[AttachmentView] = []
    delivery: dict[str, Any] = {}


class HandOff(msgspec.Struct, frozen=True):
    """Who takes over; null lets the customer wait for the next one who is free."""

    to: UUID | None = None


class Template(msgspec.Struct, frozen=True):
    """A template that the provider has approved, with its parameters as the provider describes them."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    language: Annotated[str, msgspec.Meta(min_length=2, max_length=15)]
    components: Annotated[list[dict[str, Any]], msgspec.Meta(max_length=20)] = []

    @property
    def described(self) -> dict[str, Any]:
        """As the provider wants it."""
        return {
            "name": self.name, "language": {"code": self.language}, "components": self.components,
        }  # fmt: skip


class AgentReply(msgspec.Struct, frozen=True):
    """What a person answers: a text, an uploaded file, or both; or a template, which text describes."""

    text: Words = ""
    attachment: UUID | None = None
    template: Template | None = None


class Resend(msgspec.Struct, frozen=True):
    """How a message is sent again: as it was, or in the words of a template."""

    template: Template | None = None


@get("/conversations", tags=["Conversations"])
async def list_conversations(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None, status: StateFilter = None
) -> Page[TalkView]:
    """List conversations, those with the latest activity first."""
    mark = after_moment(cursor)
    after = None if mark is None else conversations.Cursor(*mark)
    async with access.scope(request, api_scope=ApiScope.CONVERSATIONS_READ) as scope:
        found = await conversations.list_conversations(scope, limit=limit + 1, after=after, state=status)
        return page(
            [_talk(one) for one in found], limit, lambda one: f"{one.updated_at.isoformat()}/{one.id}"
        )


@get("/conversations/{id:uuid}", tags=["Conversations"])
async def show_conversation(request: Request[Any, Any, Any], id: FromPath[UUID]) -> TalkView:
    """Show a conversation."""
    async with access.scope(request, api_scope=ApiScope.CONVERSATIONS_READ) as scope:
        return _talk(await conversations.find(scope, ConversationId(id)))


@get("/conversations/{id:uuid}/messages", tags=["Conversations"])
async def list_messages(
    request: Request[Any, Any, Any], id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[MessageView]:
    """Read a transcript, oldest message first."""
    start = after_number(cursor)
    async with access.scope(request, api_scope=ApiScope.CONVERSATIONS_READ) as scope:
        await conversations.find(scope, ConversationId(id))
        found = await conversations.transcript(scope, ConversationId(id), after=start, limit=limit + 1)
        files = await attachments.of_messages(scope, [one.id for one in found])
        shown = [_message(one, files.get(one.id, [])) for one in found]
        return page(shown, limit, lambda one: str(one.seq))


@post("/conversations/{id:uuid}/hand-off", tags=["Conversations"], status_code=200)
async def hand_off(request: Request[Any, Any, Any], id: FromPath[UUID], data: HandOff) -> Response[TalkView]:
    """Silence the assistant: a member takes over, or the customer waits for one."""
    to = None if data.to is None else UserId(data.to)
    return await _step(request, id, lambda scope, talk: conversations.hand_off(scope, talk, to=to))


@post("/conversations/{id:uuid}/release", tags=["Conversations"], status_code=200)
async def release(request: Request[Any, Any, Any], id: FromPath[UUID]) -> Response[TalkView]:
    """Give a conversation back to the assistant."""
    return await _step(request, id, conversations.release)


@post("/conversations/{id:uuid}/close", tags=["Conversations"], status_code=200)
async def close(request: Request[Any, Any, Any], id: FromPath[UUID]) -> Response[TalkView]:
    """Close a conversation; it opens again when the customer writes."""
    return await _step(request, id, conversations.close)


@post("/conversations/{id:uuid}/reply", tags=["Conversations"])
async def reply(
    request: Request[Any, Any, Any], id: FromPath[UUID], data: AgentReply
) -> Response[MessageView]:
    """Answer as a person; whoever answers has taken over. Keys cannot: a person signs for it."""

    async def work(scope: Scope) -> MessageView:
        if scope.member is None:
            raise NotAllowed("only a member can answer as a person")
        return await _reply(scope, ConversationId(id), data, scope.member)

    return await write(request, Rights(Role.AGENT), work)


@post("/conversations/{id:uuid}/messages/{message:uuid}/resend", tags=["Conversations"], status_code=200)
async def resend(
    request: Request[Any, Any, Any], id: FromPath[UUID], message: FromPath[UUID], data: Resend
) -> Response[MessageView]:
    """Send a message again that could not be delivered."""
    template = None if data.template is None else data.template.described

    async def work(scope: Scope) -> MessageView:
        talk, failed = ConversationId(id), MessageId(message)
        return _message(await conversations.resend(scope, talk, failed, template=template), [])

    return await write(request, _MAY_WORK, work, status=200)


async def _step(request: Request[Any, Any, Any], id: UUID, step: Step) -> Response[TalkView]:
    async def work(scope: Scope) -> TalkView:
        return _talk(await step(scope, ConversationId(id)))

    return await write(request, _MAY_WORK, work, status=200)


def _talk(conversation: Conversation) -> TalkView:
    return msgspec.convert(conversation, TalkView, from_attributes=True)


async def _reply(scope: Scope, id: ConversationId, data: AgentReply, agent: UserId) -> MessageView:
    if data.template is not None:
        text, described = data.text or data.template.name, data.template.described
        said = await conversations.agent_reply(scope, id, text, agent=agent, template=described)
        return _message(said, [])
    if data.attachment is None:
        return _message(await conversations.agent_reply(scope, id, data.text, agent=agent), [])
    file = AttachmentId(data.attachment)
    message = await conversations.agent_sends(scope, id, file, data.text, agent=agent)
    return _message(message, [await attachments.find(scope, id, file)])


def _message(message: Message, files: list[Attachment]) -> MessageView:
    return MessageView(
        id=message.id, seq=message.seq, author=message.author, author_id=message.author_id,
        text=message.text, status=message.status, declined=message.declined, citations=message.citations,
        created_at=message.created_at, form=message.form, content=message.content,
        attachments=[view(file) for file in files], delivery=message.delivery,
    )  # fmt: skip


ROUTES = [list_conversations, show_conversation, list_messages, hand_off, release, close, reply, resend]
