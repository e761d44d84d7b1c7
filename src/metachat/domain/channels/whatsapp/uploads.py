"""Files on their way to WhatsApp: each is handed over once, and named by the id it got from then on."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from metachat.domain.channels.model import Channel
from metachat.domain.channels.outgoing import Enclosure, NotSent
from metachat.domain.channels.whatsapp.composing import SIZES, media_of
from metachat.domain.channels.whatsapp.graph import Graph
from metachat.domain.channels.whatsapp.settings import Credentials

# Meta keeps an uploaded file for thirty days.
_KEPT_SECONDS = 20 * 24 * 3600.0
_REMEMBERED = 2_000


class Uploads:
    """The ids of files that this process has uploaded; another one uploads the same file again."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    async def id_of(
        self,
        channel: Channel,
        credentials: Credentials,
        enclosure: Enclosure,
        read: Callable[[str], AsyncIterator[bytes]],
    ) -> str:
        """Gives the id of a file, uploading it at its first use; raises NotSent."""
        place = (str(channel.id), enclosure.sha256)
        known = self._known.get(place)
        if known is not None and known[1] > time.monotonic():
            self._known.move_to_end(place)
            return known[0]
        found = await self._upload(credentials, enclosure, read)
        self._known[place] = (found, time.monotonic() + _KEPT_SECONDS)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def forget(self, channel: Channel, enclosure: Enclosure) -> None:
        """Upload this file anew next time."""
        self._known.pop((str(channel.id), enclosure.sha256), None)

    async def _upload(
        self,
        credentials: Credentials,
        enclosure: Enclosure,
        read: Callable[[str], AsyncIterator[bytes]],
    ) -> str:
        kind = media_of(enclosure)
        if enclosure.size > SIZES[kind]:
            megabytes = SIZES[kind] // (1024 * 1024)
            raise NotSent("give_up", f"The attachment is larger than the {megabytes} MB that WhatsApp takes.")
        fields = {"messaging_product": "whatsapp", "type": enclosure.media_type}
        pieces = read(enclosure.sha256)
        try:
            # Before the request: an upload that breaks in the middle would look like a broken line.
            first = await anext(pieces, b"")
        except FileNotFoundError:
            raise NotSent("give_up", "The attachment is no longer there.") from None
        file = (enclosure.name or "file", enclosure.media_type, _chained(first, pieces))
        try:
            answer = await self._graph.upload(
                credentials.access_token, f"{credentials.phone_number_id}/media", fields, file
            )
        except NotSent as failure:
            # An upload that may have succeeded has reached nobody yet.
            failure.unsure = False
            raise
        id = answer.get("id")
        if not isinstance(id, str) or not id:
            raise NotSent("retry", "WhatsApp took the attachment without naming it.")
        return id


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
