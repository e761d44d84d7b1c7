"""What every channel brings in and takes out, whatever its provider calls it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from metachat.foundation.ids import ChannelId


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A provider's call as it came: header names in lower case, the body byte for byte."""

    method: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message of a customer.

    external_id names the person within the channel; provider_id names the message within the channel and
    is what makes a second delivery of it no second message. provider_at None means that the channel
    tells no time of its own.
    """

    channel: ChannelId
    external_id: str
    provider_id: str
    text: str
    locale: str | None = None
    name: str = ""
    provider_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a reply goes: a person within a channel."""

    channel: ChannelId
    external_id: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the channel's provider answered: its id of the sent message, which status updates will name."""

    provider_id: str | None
    accepted_at: datetime


class Channel(Protocol):
    """One kind of channel; verify and parse are pure, send is the only one that talks."""

    def verify(self, raw: RawRequest) -> None:
        """Raise a Refusal unless the provider itself made this request."""
        ...

    def parse(self, raw: RawRequest) -> list[Inbound]:
        """Gives every message of a batch, in its order."""
        ...

    async def send(self, to: Address, text: str) -> Receipt:
        """Hand a text to the provider; raises a Refusal that tells whether trying again may help."""
        ...
