"""Sends through the WhatsApp Cloud API, marks messages read, and opens the files that people send."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from metachat.domain.channels.model import Channel
from metachat.domain.channels.outgoing import Accepted, Diagnosis, Fetched, NotSent, Outgoing, Pace, Window
from metachat.domain.channels.whatsapp import diagnosing
from metachat.domain.channels.whatsapp.composing import body_of, filled, parts_of
from metachat.domain.channels.whatsapp.graph import Graph
from metachat.domain.channels.whatsapp.reading import part, text
from metachat.domain.channels.whatsapp.settings import Credentials, opened
from metachat.domain.channels.whatsapp.uploads import Uploads
from metachat.foundation.keyring import Keyring

# Meta's own limits; a channel's settings may name others (number_limit, pair_pause, pair_burst).
_PER_SECOND = 80.0
_PAIR_PAUSE = 6.0
_PAIR_BURST = 45

_PIECE = 65_536
_NO_SUCH_OBJECT = "100"


class WhatsAppSender:
    """Whoever delivers to WhatsApp channels; satisfies Sender."""

    window = Window(free_text=timedelta(hours=24))

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._uploads = Uploads(graph)

    def paces(self, channel: Channel, outgoing: Outgoing) -> tuple[Pace, ...]:
        """Messages of a number, and messages to one person."""
        settings = channel.settings
        rate = _number(settings, "number_limit", _PER_SECOND)
        pause, burst = (
            _number(settings, "pair_pause", _PAIR_PAUSE),
            _number(settings, "pair_burst", _PAIR_BURST),
        )
        number = f"whatsapp:{channel.id}"
        return (
            Pace(number, 1 / rate, max(1, int(rate / 4))),
            Pace(f"{number}:{outgoing.to}"[:400], pause, max(1, int(burst))),
        )

    def parts(self, outgoing: Outgoing) -> tuple[Outgoing, ...]:
        """Cut a message into what WhatsApp takes at once."""
        return parts_of(outgoing)

    def reopening(self, channel: Channel, outgoing: Outgoing) -> Outgoing | None:
        """The channel's template for whoever has been silent for a day, with the text in its place."""
        template = channel.settings.get("reopening_template")
        if not isinstance(template, dict) or not template.get("name"):
            return None
        described = filled(template, outgoing.text)
        if isinstance(language := described.get("language"), str):
            described["language"] = {"code": language}
        return replace(outgoing, template=described, enclosure=None, choices=(), reply_to=None)

    async def send(
        self, channel: Channel, key: Keyring, outgoing: Outgoing, read: Callable[[str], AsyncIterator[bytes]]
    ) -> Accepted:
        """Hand one part over; raises NotSent."""
        credentials = _usable(opened(channel, key))
        media_id = None
        if outgoing.enclosure is not None and outgoing.template is None:
            media_id = await self._uploads.id_of(channel, credentials, outgoing.enclosure, read)
        try:
            answer = await self.graph.post(
                credentials.access_token,
                f"{credentials.phone_number_id}/messages",
                body_of(outgoing, media_id),
            )
        except NotSent:
            if outgoing.enclosure is not None:
                self._uploads.forget(channel, outgoing.enclosure)
            raise
        return Accepted(_id_in(answer))

    async def seen(self, channel: Channel, key: Keyring, provider_id: str, *, typing: bool) -> None:
        """Mark a person's message read, and show (typing) that an answer is being written; raises NotSent."""
        credentials = _usable(opened(channel, key))
        body: dict[str, Any] = {"messaging_product": "whatsapp", "status": "read", "message_id": provider_id}
        if typing:
            body["typing_indicator"] = {"type": "text"}
        await self.graph.post(credentials.access_token, f"{credentials.phone_number_id}/messages", body)

    async def fetch(self, channel: Channel, key: Keyring, media: str) -> Fetched:
        """Open a file by its id, which Meta keeps for seven days; raises NotSent."""
        credentials = _usable(opened(channel, key))
        if not media.isascii() or not media.isalnum():
            raise NotSent("give_up", "The file has no usable id.")
        about = await self._about(credentials, media)
        url, size = text(about, "url"), text(about, "file_size")
        if not url:
            raise NotSent("retry", "WhatsApp named no address for the file.")
        return Fetched(
            media_type=text(about, "mime_type"), size=int(size) if size.isdecimal() else None,
            sha256=text(about, "sha256") or None, pieces=self._pieces(credentials.access_token, url),
        )  # fmt: skip

    async def diagnose(self, channel: Channel, key: Keyring, callback: str) -> list[Diagnosis]:
        """Check what Meta says of the channel, and whether Meta can deliver to it."""
        return await diagnosing.diagnose(self.graph, channel, key, callback)

    async def subscribe(self, channel: Channel, key: Keyring, callback: str) -> None:
        """Have Meta deliver the account's webhooks to the channel; raises NotSent."""
        await diagnosing.subscribe(self.graph, channel, key, callback)

    async def close(self) -> None:
        """Let go of the connections."""
        await self.graph.close()

    async def _about(self, credentials: Credentials, media: str) -> Mapping[str, Any]:
        query = {"phone_number_id": credentials.phone_number_id}
        try:
            return await self.graph.get(credentials.access_token, media, query)
        except NotSent as failure:
            if failure.code != _NO_SUCH_OBJECT:
                raise
            raise NotSent("give_up", "WhatsApp no longer has this file.", code=failure.code) from failure

    async def _pieces(self, token: str, url: str) -> AsyncIterator[bytes]:
        try:
            async with self.graph.download(token, url) as response:
                async for piece in response.content.iter_chunked(_PIECE):
                    yield piece
        except NotSent as failure:
            # The address lasts for five minutes, the id for days: a new address may do.
            raise NotSent("retry", failure.reason, code=failure.code, after=failure.after) from failure


def sender(graph_url: str, detour: Callable[[str], str | None] = lambda token: None) -> WhatsAppSender:
    """Make the sender of a process, connected at its first use; detour knows tokens that lead elsewhere."""
    return WhatsAppSender(Graph(graph_url, detour=detour))


def _usable(credentials: Credentials) -> Credentials:
    if not credentials.access_token or not credentials.phone_number_id.isalnum():
        reason = "This channel lacks its access token or its phone number id; enter both."
        raise NotSent("tell", reason, concerns="channel", cause="token")
    return credentials


def _id_in(answer: Mapping[str, Any]) -> str:
    messages = answer.get("messages")
    first = messages[0] if isinstance(messages, list) and messages and isinstance(messages[0], dict) else {}
    id = text(part({"message": first}, "message"), "id")
    if not id or len(id) > 300:
        raise NotSent("retry", "WhatsApp took the message without naming it.", unsure=True)
    return id


def _number(settings: Mapping[str, Any], name: str, default: float) -> float:
    given = settings.get(name, default)
    usable = isinstance(given, int | float) and not isinstance(given, bool) and 0.001 <= given <= 100_000
    return float(given) if usable else default
