"""The chat's JSON, in and out."""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from metachat.domain.conversations import Conversation, Message
from metachat.foundation.errors import Invalid

T = TypeVar("T")


class Malformed(Invalid):
    """The request's body is not what is expected here."""

    code = "malformed_body"


class SessionRequest(msgspec.Struct, frozen=True):
    """Begins a session; locale is the widget's language."""

    locale: str | None = None


class MessageRequest(msgspec.Struct, frozen=True):
    """A message to send; the same client_key again is the same message."""

    text: str
    client_key: str


class Source(msgspec.Struct, frozen=True):
    """A citation as visitors see it; its place in the list is its number in the text."""

    chunk_id: int
    document: str
    page: int | None
    heading: str | None
    quote: str


class Said(msgspec.Struct, frozen=True):
    """A message of the transcript as visitors see it."""

    id: UUID
    seq: int
    author: str
    text: str
    citations: list[Source]
    declined: bool
    created_at: datetime
    client_key: str | None


class Talk(msgspec.Struct, frozen=True):
    """A conversation as its visitor sees it."""

    id: UUID
    state: str


class History(msgspec.Struct, frozen=True):
    """A part of the transcript, and who answers now."""

    items: list[Said]
    conversation: Talk


class Look(msgspec.Struct, frozen=True):
    """How the tenant wants the widget to present itself; "" means the widget's own words."""

    title: str
    greeting: str
    accent: str
    paused: bool


class Session(msgspec.Struct, frozen=True):
    """What a widget needs to begin."""

    token: str
    conversation: Talk
    contact: str


class Receipt(msgspec.Struct, frozen=True):
    """What a sender learns of a message that is stored."""

    id: UUID
    seq: int
    created_at: datetime


class CitedPassage(msgspec.Struct, frozen=True):
    """The passage that an answer rests on, with the words that it quotes."""

    document: str
    page: int | None
    heading: str | None
    text: str
    quote: str


def said(message: Message) -> Said:
    """Show a message to a visitor."""
    # A provider id is "<conversation>:<client key>"; the visitor gets back what they sent.
    key = message.provider_id.partition(":")[2] if message.provider_id else None
    sources = [
        Source(c["chunk_id"], c["document"], c.get("page"), c.get("heading"), c["quote"])
        for c in message.citations
    ]
    return Said(
        message.id,
        message.seq,
        message.author,
        message.text,
        sources,
        message.declined,
        message.created_at,
        key,
    )


def talk(conversation: Conversation) -> Talk:
    """Show a conversation to its visitor."""
    return Talk(conversation.id, conversation.state)


def parse(body: bytes, kind: type[T]) -> T:
    """Read a JSON body; raises Malformed."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error)[:200]) from error


def dump(value: Any) -> bytes:
    """Write JSON."""
    return msgspec.json.encode(value)
