"""Runs an api process: one event loop, one listening socket, a bounded farewell."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
import uvloop
from litestar.types import ASGIApp
from typing_extensions import override
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from metachat.foundation import log
from metachat.foundation.garbage import spare_what_is_loaded
from metachat.foundation.settings import Settings
from metachat.web.app import create_app
from metachat.web.drain import Drain
from metachat.wiring import open_platform

# Requests in flight get this long; streams end at once, since their clients connect again by themselves.
FAREWELL_SECONDS = 10
_IDLE_SECONDS = 65  # longer than what proxies keep, so that they never write into a socket just closed
_BACKLOG = 2048

# How long a connection that was just taken may keep its first request back when we go.
_HEARD_SECONDS = 1.0
_LOOKS_EVERY = 0.02


def run(settings: Settings, fd: int | None, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT: on an inherited listening socket, or on one of its own."""
    log.configure("api", settings.log_format, settings.log_level)
    listening = socket.socket(fileno=fd) if fd is not None else _listen(host, port)
    uvloop.run(_serve(settings, listening))


async def _serve(settings: Settings, listening: socket.socket) -> None:
    drain = Drain()
    async with open_platform(settings, "api") as platform:
        config = uvicorn.Config(
            create_app(platform, drain, _behind_proxy), http="httptools", ws="none", lifespan="on",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            timeout_keep_alive=_IDLE_SECONDS, timeout_graceful_shutdown=FAREWELL_SECONDS, backlog=_BACKLOG,
        )  # fmt: skip
        spare_what_is_loaded()
        await _Server(config, drain).serve(sockets=[listening])


class _Server(uvicorn.Server):
    """Uvicorn that tells the streams when a signal comes, and keeps the signal to itself."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals over; its own version raises them again, which would cut the farewell short."""
        before = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGTERM, signal.SIGINT)}
        # The proxy is shown the door before it is shut: see the unit's ExecStop.
        before[signal.SIGUSR1] = signal.signal(signal.SIGUSR1, lambda *_: self._drain.leave())
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)

    @override
    def handle_exit(self, sig: int, frame: object) -> None:
        """Begin the farewell; a second signal ends it."""
        self.force_exit = self.should_exit
        self.should_exit = True
        self._drain.begin()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, hear those out that were taken already, and say farewell."""
        for server in self.servers:
            server.close()
        # Its own version would cut off whoever has connected, and whose request is just on its way.
        deadline = time.monotonic() + _HEARD_SECONDS
        await asyncio.sleep(_LOOKS_EVERY)
        while self._unheard() and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(_LOOKS_EVERY)
        await super().shutdown(sockets)

    def _unheard(self) -> bool:
        connections = cast("set[Any]", self.server_state.connections)
        return any(getattr(connection, "cycle", None) is None for connection in connections)


def _behind_proxy(app: ASGIApp) -> ASGIApp:
    return cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), trusted_hosts=["127.0.0.1", "::1"]))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)
