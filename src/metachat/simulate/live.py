"""Server-Sent Events: whoever watches the page sees everything as it happens."""

import asyncio

import msgspec

from metachat.simulate.http import Receive, Send
from metachat.simulate.world import World

_QUIET_SECONDS = 15.0


async def stream(world: World, receive: Receive, send: Send) -> None:
    """Tell everything until the watcher goes; raises Invalid when too many watch."""
    queue = world.watch()
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _write(send, b": welcome\n\n")
        gone = asyncio.ensure_future(_hung_up(receive))
        while not gone.done():
            try:
                event = await asyncio.wait_for(queue.get(), _QUIET_SECONDS)
            except TimeoutError:
                await _write(send, b": still here\n\n")
                continue
            if event["event"] == "end":
                return
            await _write(send, b"data: " + msgspec.json.encode(event) + b"\n\n")
    finally:
        world.unwatch(queue)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
