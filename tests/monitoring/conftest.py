"""What the stories about metrics and alerts stand on."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import asyncpg
import httpx
import pytest

from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import open_platform
from tests.conftest import Server
from tests.monitoring.house import House, open_house


@pytest.fixture
async def api(as_environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """An api process, asked by nobody in particular."""
    async with open_platform(load(as_environment, "api"), "api") as platform:
        transport = httpx.ASGITransport(cast(Any, create_app(platform)), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            yield client


@pytest.fixture
async def cluster_connection(postgres: Server) -> AsyncIterator[asyncpg.Connection]:
    """The superuser's way into the database server."""
    connection = await asyncpg.connect(postgres.superuser_dsn())
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The site that is harmed."""
    async with open_house(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
async def suffers(house: House) -> Callable[..., Awaitable[None]]:
    """Make a fault and end it, and see that people hear of both."""

    async def suffer(rule: str, begin: Callable[[], Any], end: Callable[[], Any], within: float = 60) -> None:
        await asyncio.to_thread(house.site.suffers, rule, begin, end, within)

    return suffer


@pytest.fixture
def visitors(house: House) -> Iterator[None]:
    """People who look for a chat, five times a second."""
    over = threading.Event()

    def come() -> None:
        with httpx.Client(base_url=house.site.address, timeout=20) as client:
            while not over.wait(0.2):
                with contextlib.suppress(httpx.TransportError):
                    client.get(f"/chat/{uuid4()}/look")

    threads = [threading.Thread(target=come, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join(25)
