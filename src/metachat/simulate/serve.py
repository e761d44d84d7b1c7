"""Runs the simulator: one event loop, one port of this machine, which can be unplugged for a while."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
import uvloop
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from metachat.foundation.errors import Kind, Refusal
from metachat.simulate.app import App, is_loopback
from metachat.simulate.deliveries import Patience
from metachat.simulate.limits import Rates
from metachat.simulate.model import Account
from metachat.simulate.world import World

_BACKLOG = 2048


class NotLoopback(Refusal):
    """The simulator has no password: it listens on this machine only."""

    code, kind = "not_loopback", Kind.INVALID


class PortTaken(Refusal):
    """The simulator's port is taken."""

    code, kind = "port_taken", Kind.UNAVAILABLE
    exit_code = 75  # EX_TEMPFAIL


def listen(host: str, port: int, *, exposed: bool = False) -> socket.socket:
    """Bind and listen, on loopback unless `exposed`; raises NotLoopback, PortTaken."""
    host = "127.0.0.1" if host == "localhost" else host
    if not is_loopback(host) and not exposed:
        raise NotLoopback(
            f"{host} can be reached by others. If that is meant: --expose-to-the-network, and everybody who"
            " reaches it can read and write everything in it."
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise PortTaken(f"{host}, port {port}: {error.strerror}. Choose another with --port.") from error


class Simulator:
    """A world behind a port."""

    def __init__(
        self, listening: socket.socket, account: Account, rates: Rates, patience: Patience, seed: int
    ) -> None:
        self._listening = listening
        # What was listened on: the port is the same after it was unplugged.
        self._place, self._family = listening.getsockname()[:2], listening.family
        # Where this machine reaches it, even when it listens everywhere.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._place[0], self._place[0])  # noqa: S104 - read
        host = f"[{host}]" if ":" in host else host
        self.address = f"http://{host}:{self._place[1]}"
        self._make = lambda: World(rates, patience)
        self.account, self._seed = account, seed
        self._server: _Server | None = None

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, SIGTERM or SIGINT."""
        uvloop.run(self._serve(ready))

    def stop(self) -> None:
        """Stop soon; from any thread."""
        if self._server is not None:
            self._server.should_exit = True

    async def _serve(self, ready: Callable[[], None]) -> None:
        world = self._make()
        world.chance.seed(self._seed)
        world.add_account(self.account)
        app = App(world, lambda: self.address, self._unplug, is_loopback(self._place[0]))
        config = uvicorn.Config(
            app, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False,
            server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=1, backlog=_BACKLOG,
        )  # fmt: skip
        self._server = _Server(config, ready, lambda: world.tell({"event": "end"}))
        await world.deliveries.open()
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            await world.deliveries.close()

    def _unplug(self, seconds: float) -> None:
        # Kept, or it may be collected.
        self._unplugged = asyncio.get_running_loop().create_task(self._be_unplugged(seconds))

    async def _be_unplugged(self, seconds: float) -> None:
        await asyncio.sleep(0.02)  # after the answer to whoever asked for it
        server = self._server
        assert server is not None
        for listener in server.servers:
            listener.close()
        self._listening.close()
        for connection in list(server.server_state.connections):
            if isinstance(connection, _Protocol):
                connection.abort()
        server.servers.clear()
        self._listening = await self._hold()
        await asyncio.sleep(seconds)
        await server.startup(sockets=[self._listening])

    async def _hold(self) -> socket.socket:
        """Take the port without listening: whoever connects is refused, and nobody else can have it."""
        held = socket.socket(self._family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        while True:
            try:
                held.bind(self._place)
            except OSError:  # the loop has not closed it yet
                await asyncio.sleep(0.01)
            else:
                return held


class _Protocol(HttpToolsProtocol):
    """Lets the application break the connection it serves."""

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["cut"] = self.abort

    def abort(self) -> None:
        """Break the connection, whatever is in it."""
        self.transport.abort()


class _Server(uvicorn.Server):
    """Uvicorn that tells when it listens, and keeps signals to itself where there are any."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], farewell: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell, self._farewell = ready, farewell

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()
        self._tell = lambda: None

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._farewell()
        await super().shutdown(sockets)

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with contextlib.ExitStack() as kept:
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(ValueError):  # not in the main thread
                    before = signal.signal(number, self._asked)
                    kept.callback(signal.signal, number, before)
            yield

    def _asked(self, number: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
