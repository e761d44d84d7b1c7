"""A running application in this process, and people who use it."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from tests.web.process import Process

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.ids import TenantId, UserId
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import Platform, open_platform

PASSWORD = "correct horse battery"
ADDRESS = "http://127.0.0.1:8080"


@pytest.fixture
def process(as_environment: dict[str, str]) -> Iterator[Process]:
    """A running api process."""
    started = Process(as_environment)
    assert started.is_ready() == 200
    yield started
    if started.child.poll() is None:
        started.child.kill()
        started.child.wait()
    if started.child.stderr:
        started.child.stderr.close()


@pytest.fixture
async def platform(as_environment: dict[str, str]) -> AsyncIterator[Platform]:
    """The platform as an api process opens it."""
    async with open_platform(load(as_environment, "api"), "api") as opened:
        yield opened


@pytest.fixture
async def nobody(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not signed in."""
    # Errors must come back as answers, as they do through a socket.
    transport = httpx.ASGITransport(cast(Any, create_app(platform)), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
        yield client


@dataclass
class Office:
    """A tenant with one member of each role."""

    platform: Platform
    client: httpx.AsyncClient
    tenant: TenantId
    slug: str

    async def hire(self, role: Role, name: str | None = None) -> UserId:
        """Make someone a member."""
        async with open_scope(self.platform.database, self.tenant, actor="test") as scope:
            first = await accounts.hash_first_password(PASSWORD)
            email = f"{name or role.value}@{self.slug}.example"
            welcome = await accounts.add_member(
                scope, (email, role.value), role, by=Role.OWNER, first_password=first
            )
        return welcome.member.id

    async def enters(self, role: Role, name: str | None = None) -> "Person":
        """Sign a member in."""
        who = {"email": f"{name or role.value}@{self.slug}.example", "password": PASSWORD}
        answer = await self.client.post("/api/v1/session", json=who)
        assert answer.status_code == 201, answer.text
        self.client.cookies.clear()
        return Person(self.client, answer.json(), f"mc_session={answer.cookies['mc_session']}")

    async def key(self, *scopes: ApiScope) -> str:
        """Make an API key."""
        async with open_scope(self.platform.database, self.tenant, actor="test") as scope:
            issued = await accounts.create_key(scope, "test", list(scopes), self.platform.pepper)
        return issued.secret


@dataclass
class Person:
    """Someone signed in, with a browser that carries cookie and CSRF token."""

    client: httpx.AsyncClient
    session: dict[str, Any]
    cookie: str

    async def sends(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as this person."""
        headers = {
            "Cookie": self.cookie,
            "X-CSRF-Token": self.session["csrf_token"],
            **options.pop("headers", {}),
        }
        return await self.client.request(method, path, headers=headers, **options)


async def open_office(platform: Platform, client: httpx.AsyncClient, tenant: TenantId, slug: str) -> Office:
    """Hire one member of each role."""
    office = Office(platform, client, tenant, slug)
    for role in Role:
        await office.hire(role)
    return office


@pytest.fixture
async def acme(platform: Platform, nobody: httpx.AsyncClient, tenant: TenantId) -> Office:
    """The tenant whose story it is."""
    return await open_office(platform, nobody, tenant, "acme")


@pytest.fixture
async def rival(platform: Platform, nobody: httpx.AsyncClient, stranger: TenantId) -> Office:
    """Another tenant, who must never see anything of the first."""
    return await open_office(platform, nobody, stranger, "stranger")
