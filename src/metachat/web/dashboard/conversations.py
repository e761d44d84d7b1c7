"""Pages of conversations: the inbox, a transcript, and what a person does in it."""

from collections.abc import AsyncIterator
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.datastructures import UploadFile
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from metachat.domain import accounts, channels, conversations
from metachat.domain.accounts import Role
from metachat.domain.conversations import Conversation, Cursor, State, attachments
from metachat.foundation.ids import ConversationId, MessageId
from metachat.foundation.realtime import Listens
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.api import paging
from metachat.web.dashboard.visit import AnyRequest, enter, fields, form_with_files, go, pieces, t

_PAGE = 30
_TRANSCRIPT = 500
_HEARTBEAT = 15.0
# A stream ends after so many heartbeats; the browser comes back and shows its session again.
_HEARTBEATS = 40
_INBOX = "/dashboard/conversations"
# The settings bound a file; this bounds the request around it, whatever the settings.
_FORM_ROOM = 1024 * 1024
_REQUEST_LIMIT = 101 * 1024 * 1024
_CHANGED = b"event: changed\ndata: {}\n\n"


@get(_INBOX)
async def show_inbox(request: AnyRequest) -> Response[str]:
    """List the conversations, by state and by words."""
    state, query = _state(request.query_params.get("state")), request.query_params.get("q", "").strip()[:200]
    after = _after(request.query_params.get("cursor"))
    async with enter(request) as visit:
        found = await conversations.list_conversations(
            visit.scope, limit=_PAGE + 1, after=after, state=state, text=query or None
        )
        page = paging.page(found, _PAGE, _mark)
        here = f"{_INBOX}?{urlencode(dict(request.query_params.items()))}"
        return visit.page(
            "conversations/list.html", conversations=page.items, more=page.next_cursor or "",
            paged=after is not None, chosen=state or "", query=query, here=here,
        )  # fmt: skip


@get(_INBOX + "/{id:uuid}")
async def show_conversation(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Show a transcript."""
    async with enter(request) as visit:
        conversation = await conversations.find(visit.scope, ConversationId(id))
        after = _number(request.query_params.get("after"))
        said = await conversations.transcript(
            visit.scope, conversation.id, after=after, limit=_TRANSCRIPT + 1
        )
        return visit.page(
            "conversations/conversation.html", conversation=conversation,
            messages=conversations.in_order(said[:_TRANSCRIPT]),
            files=await attachments.of_messages(visit.scope, [message.id for message in said]),
            quotes={message.provider_id: message for message in said if message.provider_id},
            more=said[_TRANSCRIPT - 1].seq if len(said) > _TRANSCRIPT else 0,
            mine=conversation.state == "assigned" and conversation.owner_id == visit.person.id,
            owner=await _owner(visit.scope, conversation),
            channel=await channels.find(visit.scope, conversation.channel_id),
            fileless=conversations.FILELESS,
        )  # fmt: skip


@post(_INBOX + "/{id:uuid}/take-over", status_code=200, opt={"back": _INBOX})
async def take_over(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Take a conversation over from the assistant."""
    async with enter(request, Role.AGENT) as visit:
        await conversations.hand_off(visit.scope, ConversationId(id), to=visit.person.id)
    return go(f"{_INBOX}/{id}", t("conversations", "taken"))


@post(_INBOX + "/{id:uuid}/release", status_code=200, opt={"back": _INBOX})
async def release(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Give a conversation back to the assistant."""
    async with enter(request, Role.AGENT) as visit:
        await conversations.release(visit.scope, ConversationId(id))
    return go(f"{_INBOX}/{id}", t("conversations", "released"))


@post(_INBOX + "/{id:uuid}/reply", status_code=200, opt={"back": _INBOX})
async def reply(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Answer a customer as a person."""
    form = await fields(request)
    async with enter(request, Role.AGENT) as visit:
        text = form.get("text", "")
        await conversations.agent_reply(visit.scope, ConversationId(id), text, agent=visit.person.id)
    return go(f"{_INBOX}/{id}")


@post(_INBOX + "/{id:uuid}/send", status_code=200, request_max_body_size=_REQUEST_LIMIT, opt={"back": _INBOX})
async def send(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Answer a customer as a person, with a file if one was chosen."""
    limit, talk = access.platform_of(request).media_cap + _FORM_ROOM, ConversationId(id)
    request, form = await form_with_files(request, Role.AGENT, limit)
    file, text = form.get("file"), str(form.get("text") or "")
    if isinstance(file, UploadFile) and file.filename:
        await _send_file(request, talk, file, text)
    else:
        async with enter(request, Role.AGENT) as visit:
            await conversations.agent_reply(visit.scope, talk, text, agent=visit.person.id)
    return go(f"{_INBOX}/{id}")


@post(_INBOX + "/{id:uuid}/messages/{message:uuid}/resend", status_code=200, opt={"back": _INBOX})
async def resend(request: AnyRequest, id: FromPath[UUID], message: FromPath[UUID]) -> Redirect:
    """Send a message again that could not be delivered."""
    async with enter(request, Role.AGENT) as visit:
        await conversations.resend(visit.scope, ConversationId(id), MessageId(message))
    return go(f"{_INBOX}/{id}", t("conversations", "resent"))


@get(_INBOX + "/{id:uuid}/close")
async def ask_to_close(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Ask before a conversation is closed."""
    async with enter(request, Role.AGENT) as visit:
        conversation = await conversations.find(visit.scope, ConversationId(id))
        return visit.page("conversations/close.html", conversation=conversation)


@post(_INBOX + "/{id:uuid}/close", status_code=200, opt={"back": _INBOX})
async def close(request: AnyRequest, id: FromPath[UUID]) -> Redirect:
    """Close a conversation."""
    async with enter(request, Role.AGENT) as visit:
        await conversations.close(visit.scope, ConversationId(id))
    return go(f"{_INBOX}/{id}", t("conversations", "closed_now"))


@get("/dashboard/events")
async def follow_tenant(request: AnyRequest) -> Stream:
    """Tell an open inbox that something changed."""
    async with enter(request) as visit:
        topic = f"tenant:{visit.tenant.id}"
    return _follow(request, topic, ("conversation",))


@get(_INBOX + "/{id:uuid}/events")
async def follow_conversation(request: AnyRequest, id: FromPath[UUID]) -> Stream:
    """Tell an open transcript that something changed."""
    async with enter(request) as visit:
        await conversations.find(visit.scope, ConversationId(id))
    return _follow(request, f"conversation:{id}", ("message", "state"))


def _follow(request: AnyRequest, topic: str, kinds: tuple[str, ...]) -> Stream:
    listener = access.platform_of(request).listener
    return Stream(_changes(listener, topic, kinds), media_type="text/event-stream; charset=utf-8")


async def _changes(listener: Listens, topic: str, kinds: tuple[str, ...]) -> AsyncIterator[bytes]:
    # It carries no content: whoever hears it reads the page again, with their rights of that moment.
    async with listener.subscribe(topic) as news:
        yield _CHANGED  # whatever happened since the page was made
        quiet = 0
        while quiet < _HEARTBEATS:
            event = await news.next(within=_HEARTBEAT)
            if event is None:
                quiet += 1
                yield b": still here\n\n"
            elif event.get("lost") or event.get("type") in kinds:
                yield _CHANGED


async def _send_file(request: AnyRequest, id: ConversationId, file: UploadFile, text: str) -> None:
    platform = access.platform_of(request)
    async with enter(request, Role.AGENT) as visit:
        await conversations.find(visit.scope, id)
        blobs = platform.media.for_tenant(visit.tenant.id)
    uploaded = await attachments.receive(blobs, file.filename, pieces(file), cap=platform.media_cap)
    async with enter(request, Role.AGENT) as visit:
        added = await attachments.add(visit.scope, id, uploaded)
        await conversations.agent_sends(visit.scope, id, added.id, text, agent=visit.person.id)


async def _owner(scope: Scope, conversation: Conversation) -> str:
    if conversation.owner_id is None:
        return ""
    try:
        member = await accounts.find_member(scope, conversation.owner_id)
    except accounts.MemberNotFound:
        return ""
    return member.name or member.email


def _number(text: str | None) -> int:
    return int(text[:12]) if text is not None and text.isascii() and text.isdecimal() else 0


def _state(text: str | None) -> State | None:
    return next((state for state in get_args(State) if state == text), None)


def _after(text: str | None) -> Cursor | None:
    moment = paging.after_moment(text or None)
    return None if moment is None else Cursor(*moment)


def _mark(conversation: Conversation) -> str:
    return f"{conversation.updated_at.isoformat()}/{conversation.id}"


ROUTES: list[Any] = [
    show_inbox, show_conversation, take_over, release, reply, send, resend, ask_to_close, close,
    follow_tenant, follow_conversation,
]  # fmt: skip
