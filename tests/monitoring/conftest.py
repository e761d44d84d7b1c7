"""What the stories about metrics and alerts stand on."""

from collections.abc import AsyncIterator
from typing import Any, cast

import asyncpg
import httpx
import pytest

from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import open_platform
from tests.conftest import Server


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
