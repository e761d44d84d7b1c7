"""Pages of conversations: the inbox, a transcript, and what a person does in it."""

from collections.abc import AsyncIterator
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream

from metachat.domain import accounts, channels, conversations
from metachat.domain.accounts import Role
from metachat.domain.conversations import Conversation, Cursor, State
from metachat.foundation.ids import ConversationId
from metachat.foundation.realtime import Listens
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.api import paging
from metachat.web.dashboard.visit import AnyRequest, enter, fields, go, t

_PAGE = 30
_TRANSCRIPT = 500
_HEARTBEAT = 15.0
# A stream ends after so many heartbeats; the browser comes back and shows its session again.
_HEARTBEATS = 40
_INBOX = "/dashboard/conversations"
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
            "conversations/conversation.html", conversation=conversation, messages=said[:_TRANSCRIPT],
            more=said[_TRANSCRIPT - 1].seq if len(said) > _TRANSCRIPT else 0,
            mine=conversation.state == "assigned" and conversation.owner_id == visit.person.id,
            owner=await _owner(visit.scope, conversation),
            channel=await channels.find(visit.scope, conversation.channel_id),
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
    show_inbox, show_conversation, take_over, release, reply, ask_to_close, close, follow_tenant,
    follow_conversation,
]  # fmt: skip
