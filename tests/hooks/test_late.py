"""What comes too early takes effect once its message has come, and is not waited for for ever."""

import json
from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop
from tests.hooks.test_arrivals import told


def reaction(target: str, emoji: str = "👍") -> dict[str, Any]:
    return meta.message(type="reaction", reaction={"message_id": target, "emoji": emoji})


def edit(target: str) -> dict[str, Any]:
    change = {"original_message_id": target, "message": {"type": "text", "text": {"body": "first"}}}
    return meta.message(type="edit", edit=change)


def revoke(target: str) -> dict[str, Any]:
    return meta.message(type="revoke", revoke={"original_message_id": target})


@pytest.mark.parametrize("change", [reaction, edit, revoke])
async def test_a_change_that_overtakes_its_message_takes_effect(shop: Shop, change: Any) -> None:
    first = meta.message("frist")
    await shop.deliver(told(change(first["id"])))
    await shop.work()
    await shop.work(later=True)  # still nothing there: tried again later still
    (row,) = await shop.inbox()
    assert row["state"] == "ignored"
    assert "not here yet" in row["error"]
    await shop.deliver(told(first))
    await shop.work()
    await shop.work(later=True)
    (message,) = await shop.messages()
    detail = json.loads(message["detail"])
    seen = (detail.get("reaction", {}).get("emoji"), message["text"], detail.get("deleted"))
    assert seen in {("👍", "frist", None), (None, "first", None), (None, "[deleted]", True)}
    assert {row["state"] for row in await shop.inbox()} == {"parsed"}
    assert await shop.rows("SELECT * FROM jobs WHERE kind = 'late'") == []


async def test_it_is_given_up_after_an_hour(shop: Shop) -> None:
    await shop.deliver(told(reaction("wamid.never")))
    await shop.work()
    await shop.rows("UPDATE inbox SET received_at = now() - interval '61 minutes'")
    await shop.work(later=True)
    (row,) = await shop.inbox()
    assert (row["state"], row["error"]) == ("ignored", "refers to a message that is not here")
    assert await shop.rows("SELECT * FROM jobs WHERE kind IN ('late', 'inbox')") == []


async def test_many_that_wait_hold_nobody_up(shop: Shop) -> None:
    for start in range(0, 150, 50):
        await shop.deliver(told(*(reaction(f"wamid.never{n}") for n in range(start, start + 50))))
    await shop.deliver(told(meta.message("and this?")))
    await shop.work()
    assert [row["text"] for row in await shop.messages()] == ["and this?"]


async def test_a_reaction_is_taken_back_and_the_later_one_counts(shop: Shop) -> None:
    first = meta.message("first")
    await shop.deliver(told(first))
    for emoji, at in (("👍", 10), ("", 30), ("🎉", 20)):
        await shop.deliver(told({**reaction(first["id"], emoji), "timestamp": str(1764000000 + at)}))
        await shop.work()
    (message,) = await shop.messages()
    assert json.loads(message["detail"])["reaction"]["emoji"] == ""
