"""WhatsApp through Meta's Cloud API."""

from collections.abc import Mapping
from dataclasses import dataclass

from metachat.domain.channels.contract import Arrival
from metachat.domain.channels.inbox import Update
from metachat.domain.channels.model import Channel
from metachat.domain.channels.whatsapp import lone, parse, signature, splitting
from metachat.domain.channels.whatsapp.settings import Credentials, connect, opened, sealed, secret
from metachat.foundation.keyring import Keyring

__all__ = ["Credentials", "WhatsApp", "connect", "opened", "sealed"]


@dataclass(frozen=True, slots=True)
class WhatsApp:
    """The provider of WhatsApp's webhooks; credentials are opened with the platform's key."""

    def challenge(self, query: Mapping[str, str], channel: Channel, key: Keyring) -> str:
        """Answer Meta's handshake; raises HandshakeRefused."""
        return signature.challenge(query, secret(channel, key, "verify_token"))

    def verify(self, headers: Mapping[bytes, bytes], body: bytes, channel: Channel, key: Keyring) -> None:
        """Believe only the channel's own app; raises SignatureMissing, SignatureWrong."""
        signature.verify(headers, body, secret(channel, key, "app_secret"))

    def split(self, body: bytes, channel: Channel) -> tuple[Update, ...]:
        """Cut a webhook into its updates."""
        return lone.split(body, channel.id) or splitting.split(body, channel.id)

    def parse(self, payload: bytes, channel: Channel) -> list[Arrival]:
        """Understand one update; raises Unparsed, OtherNumber."""
        number = channel.settings.get("phone_number_id", "")
        return parse.parse(payload, channel.id, number if isinstance(number, str) else "")
