"""The verbs of channels."""

from collections.abc import Mapping
from typing import Any, Literal

from metachat.domain.channels import store
from metachat.domain.channels.model import Channel, ChannelKind, ChannelNotFound
from metachat.foundation.db import Database
from metachat.foundation.ids import ChannelId, uuid7
from metachat.foundation.scope import Scope


async def create(
    scope: Scope, kind: ChannelKind, name: str, settings: Mapping[str, Any] | None = None
) -> Channel:
    """Open a channel of a kind."""
    values = {"tenant": scope.tenant, "id": uuid7(), "kind": kind, "name": name}
    row = await scope.db.one(store.ADD, **values, settings=dict(settings or {}))
    assert row is not None
    return Channel(**row)


async def find(scope: Scope, channel: ChannelId) -> Channel:
    """Find one of the tenant's channels; raises ChannelNotFound."""
    row = await scope.db.one(store.FIND, tenant=scope.tenant, id=channel)
    if row is None:
        raise ChannelNotFound
    return Channel(**row)


async def find_settled(scope: Scope, channel: ChannelId) -> Channel:
    """Find a channel; paused is only told once nobody is about to resume it. Raises ChannelNotFound.

    Whoever leaves a paused channel's updates alone must not do so behind the back of whoever wakes them.
    """
    found = await find(scope, channel)
    if found.status == "active":
        return found
    row = await scope.db.one(store.FIND_SETTLED, tenant=scope.tenant, id=channel)
    if row is None:
        raise ChannelNotFound
    return Channel(**row)


async def of_tenant(scope: Scope) -> list[Channel]:
    """List the channels that customers use, oldest first."""
    return [Channel(**row) for row in await scope.db.all(store.OF_TENANT, tenant=scope.tenant)]


async def test_channel(scope: Scope) -> Channel:
    """Gives the channel of the tenant's own trials, made at its first use."""
    row = await scope.db.one(store.FIND_TEST, tenant=scope.tenant)
    if row is None:
        await scope.db.execute(store.ADD_TEST, tenant=scope.tenant, id=uuid7())
        row = await scope.db.one(store.FIND_TEST, tenant=scope.tenant)
    assert row is not None
    return Channel(**row)


async def configure(
    scope: Scope,
    channel: ChannelId,
    *,
    name: str,
    settings: Mapping[str, Any],
    status: Literal["active", "paused"],
) -> Channel:
    """Change a channel; doors pick it up within seconds."""
    values = {"tenant": scope.tenant, "id": channel, "name": name, "status": status}
    row = await scope.db.one(store.CONFIGURE, **values, settings=dict(settings))
    if row is None:
        raise ChannelNotFound
    return Channel(**row)


async def reveal(database: Database, channel: ChannelId) -> Channel:
    """Find the channel that a stranger names, whatever its tenant; raises ChannelNotFound."""
    async with database.transaction(credential=str(channel)) as db:
        row = await db.one(store.REVEAL, id=channel)
    if row is None:
        raise ChannelNotFound
    return Channel(**row)
