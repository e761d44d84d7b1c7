"""What every channel sends, how a sending ends, and what a channel's kind promises to be able to do."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

from metachat.domain.channels.model import Channel, ChannelKind
from metachat.foundation import redaction
from metachat.foundation.ids import MessageId
from metachat.foundation.keyring import Keyring

# The kinds of channels that somebody else delivers for; what is said in any other is sent once it is written.
SENT_BY_PROVIDERS: tuple[ChannelKind, ...] = ("whatsapp",)

# retry: the same again, later. wait: the provider throttles; nothing is wrong with the message. give_up:
# this message will never arrive. tell: the tenant has to do something first (a token, a template, a payment).
Remedy = Literal["retry", "wait", "give_up", "tell"]


@dataclass(frozen=True, slots=True)
class Enclosure:
    """A file that goes with a message: its bytes come from the tenant's storage."""

    sha256: str
    media_type: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message of ours on its way to a person.

    to is the person's name within the channel (external_id), phone a second one, "" for none. reference is
    what the provider gives back with every status where it can. template is the provider's own description
    of an approved template, as JSON; reply_to a provider's id of the message this one answers.
    """

    message: MessageId
    to: str
    text: str
    reference: str
    phone: str = ""
    enclosure: Enclosure | None = None
    template: dict[str, Any] | None = None
    choices: tuple[str, ...] = ()
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has taken the message, under this id."""

    provider_id: str


class NotSent(Exception):
    """A message that the provider did not take, or may not have taken.

    code is the provider's own, "" for none; reason is a sentence for the tenant's staff, without secrets.
    after: not again before so many seconds. unsure: the provider may have taken it nevertheless (the
    connection broke after the request was written). What the tenant is told of either concerns this message,
    which fails, or the whole channel, whose messages wait until it is mended; cause names it in a word.
    """

    def __init__(
        self,
        remedy: Remedy,
        reason: str,
        *,
        code: str = "",
        after: float | None = None,
        unsure: bool = False,
        concerns: Literal["message", "channel"] = "message",
        cause: str = "",
    ) -> None:
        # A provider may repeat what it was sent.
        self.reason = redaction.hide(reason)
        super().__init__(self.reason)
        self.remedy = remedy
        self.code = code
        self.after = after
        self.unsure = unsure
        self.concerns = concerns
        self.cause = cause or code or remedy


class WindowClosed(NotSent):
    """Free text that came too late: only a template reaches the person now."""

    def __init__(self, reason: str, *, code: str = "") -> None:
        super().__init__("give_up", reason, code=code)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a provider takes messages: over a limit of this key, each costs `interval` seconds."""

    key: str
    interval: float
    burst: int


@dataclass(frozen=True, slots=True)
class Window:
    """How long after a customer's last message free text may be sent; None means for ever."""

    free_text: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that the provider holds for us; its bytes come piece by piece."""

    media_type: str
    size: int | None
    sha256: str | None
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was checked of a channel; fix says what to do, and where to click."""

    check: str
    passed: bool
    found: str
    fix: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Sender(Protocol):
    """Whoever delivers for us to a channel of one kind; the credentials come with the channel, sealed."""

    @property
    def window(self) -> Window:
        """How long a customer's message lets free text be sent."""
        ...

    def paces(self, channel: Channel, outgoing: Outgoing) -> tuple[Pace, ...]:
        """The limits that a message counts against."""
        ...

    def parts(self, outgoing: Outgoing) -> tuple[Outgoing, ...]:
        """Cut a message into what the provider takes at once; never empty, and the same each time."""
        ...

    def reopening(self, channel: Channel, outgoing: Outgoing) -> Outgoing | None:
        """What is sent in a text's place when free text comes too late; None when nothing is set up."""
        ...

    async def send(
        self, channel: Channel, key: Keyring, outgoing: Outgoing, read: Callable[[str], AsyncIterator[bytes]]
    ) -> Accepted:
        """Hand one message over; read gives the bytes of an enclosure by its sha256. Raises NotSent."""
        ...

    async def seen(self, channel: Channel, key: Keyring, provider_id: str, *, typing: bool) -> None:
        """Mark a customer's message read; with typing, show that an answer comes. Raises NotSent."""
        ...

    async def fetch(self, channel: Channel, key: Keyring, media: str) -> Fetched:
        """Open a file that a customer sent, by the provider's id of it. Raises NotSent."""
        ...

    async def diagnose(self, channel: Channel, key: Keyring, callback: str) -> list[Diagnosis]:
        """Check what the provider says of the channel; callback is the address webhooks should come to."""
        ...

    async def close(self) -> None:
        """Let go of its connections."""
        ...
