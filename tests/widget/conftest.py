"""A shop page of another origin that holds the chat, in a real browser."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp
from playwright.async_api import Browser, BrowserContext, Page
from tests.chat import conftest as chat
from tests.chat import house
from tests.conftest import Databases

from metachat.domain.channels import Channel
from metachat.foundation.announcing import Announcer
from metachat.foundation.db import Database
from metachat.foundation.realtime import Listener
from metachat.web import widget
from metachat.web.app import Dispatcher
from metachat.web.chat import ChatDoor

# The strictest policy that a shop could have and still hold the chat.
POLICY = "default-src 'none'; script-src {server}; connect-src {server}; require-trusted-types-for 'script'"
PAGE = """<!doctype html><html lang="{lang}"><head><title>Shop</title></head><body><h1>A shop</h1>
<button id="ask" data-metachat-ask="How long does delivery to Austria take?">Ask</button>
<script src="{server}/widget.js" data-channel="{channel}" {more}></script></body></html>"""


@asynccontextmanager
async def serving(app: Any, listening: socket.socket) -> AsyncIterator[None]:
    """Serve an application on a socket."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


class Site:
    """The platform's side, which tests can take away and bring back."""

    def __init__(self, database: Database, listener: Listener) -> None:
        framework = Litestar(list(widget.ROUTES), logging_config=None)
        door = ChatDoor(database, listener, house.SECRET)
        self.app = Dispatcher({"chat": cast(ASGIApp, door)}, framework)
        self.refusing = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve, unless a test wants trouble."""
        if self.refusing and scope["path"].endswith("/messages") and scope["method"] == "POST":
            headers = [(b"access-control-allow-origin", b"*")]
            await send({"type": "http.response.start", "status": self.refusing, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await self.app(scope, receive, send)


# The chat's own fixtures: the tenant's web chat, what the assistant says, and a worker at its desk.
channel, scripted, worker = chat.channel, chat.scripted, chat.worker


@pytest.fixture
async def site(databases: Databases) -> AsyncIterator[tuple[Site, str]]:
    """The platform, and its address."""
    announcer, listener = Announcer(databases.app), Listener(databases.app)
    announcer.start()
    listener.start()
    database = await Database.open(databases.app, size=5, announcer=announcer)
    made = Site(database, listener)
    listening = socket.create_server(("127.0.0.1", 0))
    async with serving(made, listening):
        yield made, f"http://127.0.0.1:{listening.getsockname()[1]}"
    await listener.close()
    await announcer.close()
    await database.close()


Open = Callable[..., Awaitable[Page]]


@pytest.fixture
async def shop(chromium: Browser, site: tuple[Site, str], channel: Channel) -> AsyncIterator[Open]:
    """Opens the shop's page, in a browser of the given size, language and taste."""
    _, server = site
    listening = socket.create_server(("127.0.0.1", 0))
    shop_address = f"http://localhost:{listening.getsockname()[1]}"
    held: dict[str, str] = {"lang": "en", "more": ""}
    contexts: list[BrowserContext] = []

    async def page_app(_scope: Any, _receive: Any, send: Any) -> None:
        body = PAGE.format(server=server, channel=channel.id, **held).encode()
        policy = POLICY.format(server=server).encode()
        headers = [(b"content-type", b"text/html"), (b"content-security-policy", policy)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def open_page(lang: str = "en", more: str = "", **context: Any) -> Page:
        held.update(lang=lang, more=more)
        context.setdefault("viewport", {"width": 1280, "height": 900})
        contexts.append(await chromium.new_context(**context))
        page = await contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
        await page.goto(shop_address)
        await page.locator("metachat-widget").wait_for(state="attached")
        return page

    async with serving(page_app, listening):
        yield open_page
        for context in contexts:
            await context.close()
