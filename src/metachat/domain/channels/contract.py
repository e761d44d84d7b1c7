"""What every channel brings in and takes out, whatever its provider calls it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from metachat.domain.channels.inbox import Update
from metachat.domain.channels.model import Channel
from metachat.foundation.ids import ChannelId
from metachat.foundation.keyring import Keyring

# What a message is made of; "choice" is a button or a list's row, "other" what we show but don't know.
Form = Literal[
    "text", "image", "audio", "video", "document", "sticker", "location", "contacts", "choice",
    "order", "other",
]  # fmt: skip
# The way of a message we sent, each step further than the one before; failed is the end of it.
Step = Literal["sent", "delivered", "read", "played", "failed"]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message of a customer.

    external_id names the person within the channel; provider_id names the message within the channel and
    is what makes a second delivery of it no second message. provider_at None means that the channel
    tells no time of its own. phone is a second name of the person, "" where the channel tells none. detail
    holds what the text doesn't say, as JSON: media, location, contacts, choice, reply_to, referral, error.
    """

    channel: ChannelId
    external_id: str
    provider_id: str
    text: str
    locale: str | None = None
    name: str = ""
    provider_at: datetime | None = None
    form: Form = "text"
    phone: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reaction:
    """A person's sign under a message, one at a time; emoji "" takes it back."""

    channel: ChannelId
    external_id: str
    target: str
    emoji: str
    at: datetime | None = None
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Revision:
    """Somebody changed a message; text None means that they deleted it. by tells whose message it is."""

    channel: ChannelId
    external_id: str
    target: str
    text: str | None
    at: datetime | None = None
    phone: str = ""
    by: Literal["customer", "business"] = "customer"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a message that we sent has come; detail tells why it failed, as JSON.

    message is our own id of it, where the provider gives back what we sent along; "" where it doesn't.
    """

    channel: ChannelId
    provider_id: str
    step: Step
    at: datetime | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Echo:
    """A message that went out from the business: written by a person in the provider's own app, or by us.

    external_id and phone name the customer who got it. message is our own id of it and app the id of the
    application that sent it, each "" where the provider tells none.
    """

    channel: ChannelId
    external_id: str
    provider_id: str
    text: str
    provider_at: datetime | None = None
    form: Form = "text"
    phone: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    app: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the provider tells about the account, a template or a person; code names it.

    Where a person's names have changed: phone and new_phone, external_id and new_external_id.
    """

    channel: ChannelId
    code: Literal["template", "account", "person"]
    detail: dict[str, Any]
    phone: str = ""
    new_phone: str = ""
    external_id: str = ""
    new_external_id: str = ""


Arrival = Inbound | Echo | Reaction | Revision | Progress | Notice


class Unparsed(Exception):
    """An update that this version doesn't understand; it is kept, with this reason."""


class OtherNumber(Exception):
    """An update for another number of the business than the channel's."""


class Provider(Protocol):
    """Whoever delivers webhooks; all of it is pure. Raises a Refusal where a caller is not to be believed."""

    def challenge(self, query: Mapping[str, str], channel: Channel, key: Keyring) -> str:
        """Answer the handshake by which the provider makes sure of the address."""
        ...

    def verify(self, headers: Mapping[bytes, bytes], body: bytes, channel: Channel, key: Keyring) -> None:
        """Raise a Refusal unless the provider itself made this request, for this channel.

        The names of headers are in lower case.
        """
        ...

    def split(self, body: bytes, channel: Channel) -> tuple[Update, ...]:
        """Cut a request into its updates; never raises, never empty."""
        ...

    def parse(self, payload: bytes, channel: Channel) -> list[Arrival]:
        """Understand one update; raises Unparsed, OtherNumber."""
        ...
