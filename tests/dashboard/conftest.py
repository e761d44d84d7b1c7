"""A tenant with one member of each role, and browsers without scripts in front of the real application."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from metachat.domain import accounts
from metachat.domain.accounts import Role
from metachat.foundation.ids import TenantId
from metachat.foundation.queue import Loop
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import HANDLERS, Platform, open_platform

PASSWORD = "correct horse battery"
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture
async def platform(as_environment: dict[str, str]) -> AsyncIterator[Platform]:
    """The platform as an api process opens it."""
    async with open_platform(load(as_environment, "api"), "api") as opened:
        yield opened


async def hire_everyone(platform: Platform, tenant: TenantId, slug: str) -> None:
    """Make one member of each role."""
    first = await accounts.hash_first_password(PASSWORD)
    for role in Role:
        async with open_scope(platform.database, tenant, actor="test") as scope:
            person = f"{role.value}@{slug}.example", f"{role.value.title()} {slug.title()}"
            await accounts.add_member(scope, person, role, by=Role.OWNER, first_password=first)


@dataclass
class Browser:
    """A browser without scripts: it keeps cookies, asks for pages, and sends the forms that it was given."""

    client: httpx.AsyncClient
    page: httpx.Response = field(init=False)

    async def opens(self, path: str) -> httpx.Response:
        """Open a page, wherever it leads."""
        self.page = await self.client.get(path, follow_redirects=True)
        return self.page

    async def sends(self, path: str, *, files: object = None, **fields: str | list[str]) -> httpx.Response:
        """Send a form with the token that the page at hand carries, and open what comes of it."""
        if token := re.search(r'name="csrf_token" value="([^"]+)"', self.page.text):
            fields = {"csrf_token": token.group(1), **fields}
        self.page = await self.client.post(path, data=fields, files=files, follow_redirects=True)  # type: ignore[arg-type]
        return self.page

    @property
    def text(self) -> str:
        """What the page says, without its tags."""
        bare = re.sub(r"<(script|style|template)\b.*?</\1>|<[^>]+>", " ", self.page.text, flags=re.S)
        return " ".join(html.unescape(bare).split())


@dataclass
class Office:
    """A tenant whose members sign in."""

    platform: Platform
    tenant: TenantId
    slug: str
    browsers: list[httpx.AsyncClient]

    def browser(self) -> Browser:
        """A new browser, not signed in."""
        transport = httpx.ASGITransport(create_app(self.platform), raise_app_exceptions=False)  # type: ignore[arg-type]
        headers = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        client = httpx.AsyncClient(transport=transport, base_url=ADDRESS, headers=headers)
        self.browsers.append(client)
        return Browser(client)

    async def enters(self, role: Role) -> Browser:
        """A browser in which a member of this role is signed in."""
        browser = self.browser()
        await browser.opens("/sign-in")
        await browser.sends("/sign-in", email=f"{role.value}@{self.slug}.example", password=PASSWORD)
        assert browser.page.url.path == "/dashboard", browser.text
        return browser


async def _office(platform: Platform, tenant: TenantId, slug: str) -> AsyncIterator[Office]:
    await hire_everyone(platform, tenant, slug)
    office = Office(platform, tenant, slug, [])
    yield office
    for client in office.browsers:
        await client.aclose()


@pytest.fixture
async def acme(platform: Platform, tenant: TenantId) -> AsyncIterator[Office]:
    """The tenant whose story it is."""
    async for office in _office(platform, tenant, "acme"):
        yield office


@pytest.fixture
async def rival(platform: Platform, stranger: TenantId) -> AsyncIterator[Office]:
    """Another tenant, who must never see anything of the first."""
    async for office in _office(platform, stranger, "stranger"):
        yield office


@pytest.fixture
async def worker(as_environment: dict[str, str]) -> AsyncIterator[None]:
    """A worker that reads documents and answers customers, as long as the test runs."""
    async with open_platform(load(as_environment, "worker"), "worker") as opened:
        stop = asyncio.Event()
        loop = Loop(opened.database, opened.listener, HANDLERS, opened)
        running = asyncio.create_task(loop.run(stop))
        yield
        stop.set()
        await running


async def until(holds: Callable[[], Awaitable[bool]], *, within: float = 30) -> None:
    """Wait until something holds; fails when it does not within so many seconds."""
    async with asyncio.timeout(within):
        while not await holds():
            await asyncio.sleep(0.1)
