"""What each of the chat's addresses does, for a visitor who was let in."""

import asyncio
import re
from contextlib import suppress

from metachat.domain import conversations, knowledge
from metachat.domain.channels import Channel, ChannelPaused, Inbound
from metachat.domain.channels.webchat import settings_of
from metachat.domain.conversations import ConversationNotFound
from metachat.domain.knowledge import PassageNotFound
from metachat.foundation.errors import Invalid
from metachat.foundation.scope import open_scope
from metachat.web.chat import wire
from metachat.web.chat.doorway import Doorway, new_contact
from metachat.web.chat.http import Request, Response, Send
from metachat.web.chat.stream import Stream, watch
from metachat.web.chat.visitors import TokenRefused, Visitor, scope_of

_CLIENT_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_HISTORY_PAGE = 200
_STREAM_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
)


class BadClientKey(Invalid):
    """A message needs a client_key of 8 to 64 letters, digits, "-" or "_"."""

    code = "bad_client_key"


async def show_look(_doorway: Doorway, channel: Channel, _request: Request) -> Response:
    """Tell how the widget presents itself."""
    look = settings_of(channel)
    return Response(
        200, wire.dump(wire.Look(look.title, look.greeting, look.accent, channel.status == "paused"))
    )


async def begin_session(doorway: Doorway, channel: Channel, request: Request) -> Response:
    """Begin a conversation, or go on with the one whose token is sent along."""
    doorway.count_session(request)
    if channel.status != "active":
        raise ChannelPaused
    wanted = wire.parse(await request.body(), wire.SessionRequest)
    locale = wanted.locale if wanted.locale and _LOCALE.fullmatch(wanted.locale) else None
    conversation = await _known(doorway, channel, request)
    if conversation is None:
        contact = new_contact()
        async with open_scope(doorway.database, channel.tenant_id, actor=f"visitor:{contact}") as scope:
            conversation = await conversations.start(scope, channel.id, contact, locale=locale)
    visitor = Visitor(channel.tenant_id, channel.id, conversation.external_id, conversation.id)
    session = wire.Session(
        token=doorway.tokens.issue(visitor),
        conversation=wire.talk(conversation),
        contact=visitor.contact,
    )
    return Response(201, wire.dump(session))


async def take_message(doorway: Doorway, channel: Channel, request: Request) -> Response:
    """Store a message before it is acknowledged."""
    visitor = doorway.visitor(channel, request)
    doorway.count_message(request, visitor)
    if channel.status != "active":
        raise ChannelPaused
    sent = wire.parse(await request.body(), wire.MessageRequest)
    if not _CLIENT_KEY.fullmatch(sent.client_key):
        raise BadClientKey
    inbound = Inbound(
        channel=channel.id,
        external_id=visitor.contact,
        provider_id=f"{visitor.conversation}:{sent.client_key}",
        text=sent.text,
    )
    async with scope_of(doorway.database, visitor) as scope:
        message = await conversations.receive_in(scope, visitor.conversation, inbound)
    return Response(202, wire.dump(wire.Receipt(message.id, message.seq, message.created_at)))


async def show_messages(doorway: Doorway, channel: Channel, request: Request) -> Response:
    """Show the transcript after a sequence number."""
    visitor = doorway.visitor(channel, request)
    after = request.number("after", 0)
    async with scope_of(doorway.database, visitor) as scope:
        conversation = await conversations.find(scope, visitor.conversation)
        messages = await conversations.transcript(
            scope, visitor.conversation, after=after, limit=_HISTORY_PAGE
        )
    history = wire.History([wire.said(message) for message in messages], wire.talk(conversation))
    return Response(200, wire.dump(history))


async def ask_for_person(doorway: Doorway, channel: Channel, request: Request) -> Response:
    """Silence the assistant and let the customer wait for a person."""
    visitor = doorway.visitor(channel, request)
    doorway.count_message(request, visitor)
    async with scope_of(doorway.database, visitor) as scope:
        conversation = await conversations.hand_off(scope, visitor.conversation, reason="button")
    return Response(200, wire.dump(wire.talk(conversation)))


async def show_passage(doorway: Doorway, channel: Channel, request: Request) -> Response:
    """Show a citation's passage to the visitor whom it was cited to; absent and foreign look alike."""
    visitor = doorway.visitor(channel, request)
    async with scope_of(doorway.database, visitor) as scope:
        chunk_id = int(request.argument or 0)
        citation = await conversations.cited(scope, visitor.conversation, chunk_id)
        if citation is None:
            raise PassageNotFound
        passage = await knowledge.find_passage(scope, chunk_id)
    shown = wire.CitedPassage(
        passage.document, passage.page, passage.heading, passage.text, citation["quote"]
    )
    return Response(200, wire.dump(shown))


async def stream_events(
    doorway: Doorway,
    channel: Channel,
    request: Request,
    send: Send,
    cors: tuple[tuple[bytes, bytes], ...],
) -> None:
    """Send what happens in a conversation until the reader is gone."""
    visitor = doorway.visitor(channel, request)
    last = request.header(b"last-event-id") or ""
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else request.number("after", 0)
    with doorway.reader(visitor):
        async with doorway.listener.subscribe(f"conversation:{visitor.conversation}") as news:
            await _find(doorway, visitor)
            await send({"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *cors]})
            watching = asyncio.create_task(watch(request.receive, news))
            try:
                await Stream(doorway.database, visitor, send, after).follow(news)
            finally:
                watching.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _known(doorway: Doorway, channel: Channel, request: Request) -> conversations.Conversation | None:
    """Gives the conversation of a token sent along; None without one that is still good."""
    with suppress(TokenRefused, ConversationNotFound):
        return await _find(doorway, doorway.visitor(channel, request))
    return None


async def _find(doorway: Doorway, visitor: Visitor) -> conversations.Conversation:
    async with scope_of(doorway.database, visitor) as scope:
        return await conversations.find(scope, visitor.conversation)
