"""Going down without keeping anyone waiting: streams end, so that a drain is over in a moment."""

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar.types import Receive, ReceiveMessage


class Drain:
    """Knows whether this process is going down, and tells the streams that are open."""

    def __init__(self) -> None:
        self.begun = False
        self.leaving = False
        self._streams: set[asyncio.Future[None]] = set()

    def leave(self) -> None:
        """Say to whoever asks that this process is no longer ready, and go on as before."""
        self.leaving = True

    def begin(self) -> None:
        """Go down: no longer ready, and every open stream hears that its client is gone."""
        self.begun = True
        for stream in self._streams:
            if not stream.done():
                stream.set_result(None)

    @property
    def streams(self) -> int:
        """How many streams wait for their client."""
        return len(self._streams)

    async def receive(self, receive: Receive) -> ReceiveMessage:
        """Wait for the client's next message as a stream does: it also wakes up when the drain begins."""
        if self.begun:
            return {"type": "http.disconnect"}
        ending = asyncio.get_running_loop().create_future()
        self._streams.add(ending)
        heard = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((heard, ending), return_when=asyncio.FIRST_COMPLETED)
            return heard.result() if heard.done() else {"type": "http.disconnect"}
        finally:
            self._streams.discard(ending)
            heard.cancel()


def is_stream(start: Mapping[str, Any]) -> bool:
    """Tell from its first message whether an answer is an endless stream of events."""
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )
