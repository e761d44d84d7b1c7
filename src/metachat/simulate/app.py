"""The simulator as one raw ASGI application: Graph API, control API and page on one port."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from metachat.simulate import live
from metachat.simulate.control import Control
from metachat.simulate.graph import Graph
from metachat.simulate.http import (
    Answer,
    AsgiScope,
    Cut,
    Receive,
    Request,
    Send,
    TooLarge,
    answer,
    read,
    respond,
)
from metachat.simulate.weather import Invalid
from metachat.simulate.world import World

_PAGE = Path(__file__).parent / "page"
_KINDS = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css",
    ".js": b"text/javascript",
    ".svg": b"image/svg+xml",
}
_POLICY = (
    b"default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; frame-ancestors 'none';"
    b" base-uri 'none'; form-action 'self'"
)


class App:
    """Dispatches; local: it listens on this machine only, and so is only ever meant by a name of it."""

    def __init__(
        self, world: World, base: Callable[[], str], unplug: Callable[[float], None], local: bool
    ) -> None:
        self.world = world
        self._graph, self._control = Graph(world, base), Control(world, unplug)
        self._local = local

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        if scope["type"] != "http":
            return
        path = scope["path"]
        try:
            if path.startswith(("/v", "/whatsapp_business/")):
                request = Request(scope["method"], path, scope, await read(receive))
                await respond(send, await self._graph.serve(request))
            elif not self._is_ours(scope):
                await respond(send, answer({"error": "this page speaks to its own machine only"}, 403))
            elif path == "/_simulator/live":
                await live.stream(self.world, receive, send)
            elif path.startswith("/_simulator/"):
                request = Request(scope["method"], path, scope, await read(receive))
                await respond(send, await self._control.serve(request))
            else:
                await respond(send, _page(path))
        except (Cut, TimeoutError):
            scope["cut"]()
            while (await receive())["type"] != "http.disconnect":
                pass
        except TooLarge:
            await respond(send, answer({"error": "too large"}, 413))
        except Invalid as error:
            await respond(send, answer({"error": str(error)}, 503))

    def _is_ours(self, scope: AsgiScope) -> bool:
        """Whether a request means this machine by name, and comes from no page of another's.

        Any web page may send requests to this machine's ports from its owner's browser, and a name that leads
        here costs nothing: neither may play with the phones.
        """
        headers = dict(scope["headers"])
        origin = headers.get(b"origin", b"").decode("latin-1")
        named = headers.get(b"host", b"").decode("latin-1")
        if origin and urlsplit(origin).netloc != named:
            return False
        host = _host(f"//{named}")
        return not self._local or host == "localhost" or is_loopback(host)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether this is an address that only this machine reaches."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _page(path: str) -> Answer:
    name = "index.html" if path == "/" else path.removeprefix("/static/")
    file = _PAGE / name
    if file.parent != _PAGE or file.suffix not in _KINDS or not file.is_file():
        return answer({"error": "not found"}, 404)
    headers = [
        (b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-cache"),
    ]  # fmt: skip
    return Answer(200, file.read_bytes(), _KINDS[file.suffix], headers)
