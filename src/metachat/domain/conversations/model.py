"""Conversations and their messages: frozen values and the rules that need no database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, TypeVar

from metachat.domain.channels import Channel, quiet_seconds
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, ContactId, ConversationId, MessageId, TenantId, UserId

# assistant: the assistant answers. waiting: a person was asked for. assigned: a member has taken over.
State = Literal["assistant", "waiting", "assigned", "closed"]
Author = Literal["customer", "assistant", "agent", "system"]

TEXT_LIMIT = 8_000
PREVIEW_LENGTH = 140
_SECOND = timedelta(seconds=1)
LANGUAGES = ("en", "de", "hr")
# What of a message's detail tells how a provider has taken it.
_DELIVERY = ("waiting", "failed", "sent_as", "repeated", "resent")
# What of a message's detail is its content; the rest is how it was made and sent.
_CONTENT = (
    "location", "contacts", "choice", "order", "reply_to", "forwarded", "product", "referral", "reaction",
    "edited", "deleted", "errors", "type", "subtype", "shortened_from", "wordless", "from_app",
)  # fmt: skip
# The channels whose readers see an answer grow.
_STREAMED = ("webchat", "test")
# What has words, and yet no question in them.
_UNASKING = ("location", "contacts", "order")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is said between one contact and the tenant through one channel.

    language is None until the assistant has answered once; locale is what the contact's device prefers.
    last_seq counts the messages; unanswered counts those of the customer that nobody has answered yet.
    """

    tenant_id: TenantId
    id: ConversationId
    channel_id: ChannelId
    contact_id: ContactId
    external_id: str
    contact_name: str
    locale: str | None
    state: State
    owner_id: UserId | None
    language: str | None
    last_seq: int
    last_text: str
    created_at: datetime
    updated_at: datetime

    @property
    def speaks(self) -> str:
        """The language of the platform's own sentences: the conversation's, the device's, or English."""
        return spoken_language(self.language, self.locale)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the transcript; seq counts from 1 within the conversation.

    citations are an assistant's sources, the first one being "[1]" in the text. detail holds what only
    some messages have, such as an answer's timings. answered_by is the message that answered this one.
    provider_at is when it was written, by the provider's clock in whole seconds, where the provider tells.
    """

    id: MessageId
    conversation_id: ConversationId
    seq: int
    author: Author
    author_id: UserId | None
    text: str
    provider_id: str | None
    status: str
    declined: bool
    citations: list[dict[str, Any]]
    detail: dict[str, Any]
    answered_by: MessageId | None
    provider_at: datetime | None
    created_at: datetime

    @property
    def form(self) -> str:
        """What it is made of, as the channel contract names it."""
        return str(self.detail.get("form", "text"))

    @property
    def delivery(self) -> dict[str, Any]:
        """How its sending goes, where that is not plain: waiting and failed with their reasons, sent_as."""
        return {name: self.detail[name] for name in _DELIVERY if name in self.detail}

    @property
    def content(self) -> dict[str, Any]:
        """What the text doesn't say, as people and programs may see it."""
        return {name: self.detail[name] for name in _CONTENT if name in self.detail}


@dataclass(frozen=True, slots=True)
class Draft:
    """What an answer in the making has said so far."""

    message_id: MessageId
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """Of a message that was said before, what the next answer needs."""

    author: Author
    text: str
    provider_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a turn answers: every unanswered message of the customer, and what was said beside them."""

    conversation: Conversation
    channel: Channel
    unanswered: list[Message]
    history: list[Said]

    @property
    def quiet(self) -> float:
        """How many seconds the customer is given to write more."""
        return quiet_seconds(self.channel.kind, self.channel.settings.get("quiet_seconds"))

    @property
    def streamed(self) -> bool:
        """Tell whether the customer reads along while an answer is written."""
        return self.channel.kind in _STREAMED

    @property
    def question(self) -> str:
        """The burst as one text; what was sent without words has none."""
        return "\n".join(one.text for one in self.unanswered if not one.detail.get("wordless"))

    @property
    def asks(self) -> bool:
        """Tell whether there is anything in words to answer: a file, a place or a card alone asks nothing."""
        return any(one.form not in _UNASKING and not one.detail.get("wordless") for one in self.unanswered)


@dataclass(frozen=True, slots=True)
class Reply:
    """What answers a customer; language None leaves the conversation's as it is."""

    text: str
    author: Author = "assistant"
    author_id: UserId | None = None
    citations: list[dict[str, Any]] = field(default_factory=list)
    declined: bool = False
    language: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class ConversationNotFound(Refusal):
    """There is no such conversation."""

    code, kind = "conversation_not_found", Kind.NOT_FOUND


class ConversationClosed(Refusal):
    """This conversation is closed; it opens again when the customer writes."""

    code, kind = "conversation_closed", Kind.CONFLICT


class EmptyMessage(Refusal):
    """A message needs some text."""

    code = "empty_message"


class MessageTooLong(Refusal):
    """This message is too long; send it in parts."""

    code = "message_too_long"


class NotAMember(Refusal):
    """Only a member of the team can take over a conversation."""

    code, kind = "not_a_member", Kind.FORBIDDEN


def clean(text: str) -> str:
    """Trim a message and drop the one character it cannot keep; raises EmptyMessage, MessageTooLong."""
    cleaned = text.replace("\x00", "").strip()
    if not cleaned:
        raise EmptyMessage
    if len(cleaned) > TEXT_LIMIT:
        raise MessageTooLong(f"{len(cleaned):,} characters; at most {TEXT_LIMIT:,}", limit=TEXT_LIMIT)
    return cleaned


class Dated(Protocol):
    """What tells when it was written."""

    @property
    def provider_at(self) -> datetime | None:
        """When its provider says that it was."""
        ...

    @property
    def created_at(self) -> datetime:
        """When it came here."""
        ...


D = TypeVar("D", bound=Dated)


def in_order(messages: Iterable[D]) -> list[D]:
    """Put messages, given in the order of their arrival, in the order in which they were written.

    A late one moves before everything that was surely written after it; providers tell whole seconds, so
    within one second the order of arrival stands.
    """
    placed: list[D] = []
    for message in messages:
        place = len(placed)
        if message.provider_at is not None:
            ended = message.provider_at + _SECOND
            while place and (placed[place - 1].provider_at or placed[place - 1].created_at) >= ended:
                place -= 1
        placed.insert(place, message)
    return placed


def spoken_language(*preferences: str | None) -> str:
    """Gives the first preference that the platform speaks ("de-AT" counts as "de"), English if none is."""
    for preference in preferences:
        base = (preference or "").lower().replace("_", "-").split("-", 1)[0]
        if base in LANGUAGES:
            return base
    return "en"


def preview(text: str) -> str:
    """The start of a text on one line, for lists."""
    line = " ".join(text.split())
    return line if len(line) <= PREVIEW_LENGTH else line[: PREVIEW_LENGTH - 1] + "…"
