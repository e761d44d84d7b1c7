"""A paused channel loses nothing: what comes meanwhile waits, and is understood in its order afterwards."""

import asyncio
from typing import Any

import pytest
from tests.conftest import add_tenant
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain import channels
from metachat.domain.channels import ChannelNotFound, inbox
from metachat.foundation.scope import open_scope


async def deliver(shop: Shop, body: str, sender: str = "385911234567", **more: Any) -> None:
    """A customer writes."""
    message = meta.message(body, sender=sender, **more)
    answer = await shop.deliver(meta.change(meta.value(message)))
    assert answer.status_code == 200


async def pause(shop: Shop) -> None:
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        assert (await channels.pause(scope, shop.channel.id)).status == "paused"


async def resume(shop: Shop) -> None:
    async with open_scope(shop.platform.database, shop.tenant, actor="test") as scope:
        assert (await channels.resume(scope, shop.channel.id)).status == "active"


async def test_what_comes_while_paused_waits_and_is_understood_in_order(shop: Shop) -> None:
    await deliver(shop, "before")
    await shop.work()
    await pause(shop)
    for number in range(inbox.TAKEN_AT_ONCE + 5):
        await deliver(shop, f"waits {number}", timestamp=str(1764000100 + number))
    await deliver(shop, "another customer", sender="385917654321")
    await shop.work()
    await shop.work()
    assert [row["text"] for row in await shop.messages()] == ["before"]
    assert {row["state"] for row in await shop.inbox()} == {"parsed", "new"}

    await resume(shop)
    await deliver(shop, "after", timestamp="1764009000")
    await shop.work()
    said = [row["text"] for row in await shop.messages()]
    mine = [text for text in said if text != "another customer"]
    assert mine == ["before", *(f"waits {n}" for n in range(inbox.TAKEN_AT_ONCE + 5)), "after"]
    assert len(said) == len(mine) + 1
    assert {row["state"] for row in await shop.inbox()} == {"parsed"}


async def test_resuming_waits_for_a_worker_that_is_just_leaving_an_update_alone(shop: Shop) -> None:
    await pause(shop)
    await deliver(shop, "just then")
    # The worker has seen "paused" and is about to leave the update; resuming must see what it leaves.
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        assert (await channels.find_settled(scope, shop.channel.id)).status == "paused"
        resuming = asyncio.create_task(resume(shop))
        blocked = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while (await shop.rows(blocked))[0]["n"] == 0:
            assert not resuming.done()
            await asyncio.sleep(0.02)
        await scope.db.execute("DELETE FROM jobs")
    await resuming
    await shop.work()
    assert [row["text"] for row in await shop.messages()] == ["just then"]


async def test_pausing_twice_is_pausing_once_and_leaves_one_audit_row(shop: Shop) -> None:
    await pause(shop)
    await pause(shop)
    await resume(shop)
    trail = [row["action"] for row in await shop.rows("SELECT action FROM audit_log ORDER BY id")]
    assert trail == ["channel.paused", "channel.resumed"]


async def test_a_stranger_pauses_nothing(shop: Shop) -> None:
    stranger = await add_tenant(shop.platform.database, "stranger")
    with pytest.raises(ChannelNotFound):
        async with open_scope(shop.platform.database, stranger, actor="test") as scope:
            await channels.pause(scope, shop.channel.id)
    assert (await shop.rows("SELECT status FROM channels WHERE kind = 'whatsapp'"))[0]["status"] == "active"
