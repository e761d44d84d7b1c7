"""Fixtures of the chat: one open door, one worker with a scripted assistant, and visitors."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.chat import house
from tests.conftest import Databases

from metachat.domain.channels import Channel
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId


@pytest.fixture
async def door(databases: Databases) -> AsyncIterator[str]:
    """The address of the chat's door."""
    async with house.door_open(databases.app) as address:
        yield address


@pytest.fixture
async def channel(app_db: Database, tenant: TenantId) -> Channel:
    """The tenant's web chat."""
    return await house.open_channel(app_db, tenant)


@pytest.fixture
def scripted() -> house.Scripted:
    """What the assistant says; tests change it before they ask."""
    return house.Scripted()


@pytest.fixture
async def worker(databases: Databases, scripted: house.Scripted) -> AsyncIterator[Any]:
    """A worker at its desk."""
    async with house.working(databases.worker, lambda database: house.desk(database, scripted)) as loop:
        yield loop


@pytest.fixture
async def visit(door: str, channel: Channel) -> AsyncIterator[Callable[..., Awaitable[house.Visitor]]]:
    """Makes visitors who have begun a session."""
    here: list[house.Visitor] = []

    async def come(locale: str = "en", at: Channel | None = None) -> house.Visitor:
        visitor = house.Visitor(door, at or channel)
        here.append(visitor)
        return await visitor.begins(locale=locale)

    yield come
    for visitor in here:
        await visitor.leaves()
