"""What went out from the business: words from the WhatsApp Business app take over, our own never do."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain import channels, conversations
from metachat.domain.conversations import Reply
from metachat.domain.conversations.writing import add_message, lock
from metachat.foundation.ids import ConversationId
from metachat.foundation.scope import open_scope

CUSTOMER = "385911234567"


def echo(body: str = "I'll look for it myself.", **more: Any) -> dict[str, Any]:
    """What a person wrote in the app, as Meta tells it."""
    plain = {"from": "38515550000", "to": CUSTOMER, "id": meta.wamid(), "timestamp": "1764000010"}
    return {**plain, "type": "text", "text": {"body": body}, **more}


def told(*echoes: Any, field: str = "smb_message_echoes") -> dict[str, Any]:
    """A change with echoes."""
    return meta.change(meta.value(message_echoes=list(echoes), contacts=[]), field)


async def talks(shop: Shop) -> list[dict[str, Any]]:
    """The conversations."""
    return await shop.rows("SELECT * FROM conversations ORDER BY id")


async def asks(shop: Shop) -> ConversationId:
    """A customer has asked something."""
    await shop.deliver(meta.change(meta.value(meta.message("Where is my tent?"))))
    await shop.work()
    return ConversationId((await talks(shop))[0]["id"])


async def is_sending(shop: Shop, id: ConversationId, text: str) -> Any:
    """A reply of ours is on its way: its provider has not answered yet."""
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        message = await add_message(scope, await lock(scope, id), Reply(text))
        await scope.db.execute("UPDATE messages SET status = 'queued' WHERE id = :id", id=message.id)
    return message.id


async def test_who_writes_in_the_app_has_taken_over(shop: Shop) -> None:
    id = await asks(shop)
    written = echo()
    for _ in range(2):
        await shop.deliver(told(written))
        await shop.work()
    question, words = await shop.messages()
    assert (words["author"], words["author_id"], words["text"]) == ("agent", None, "I'll look for it myself.")
    assert (words["provider_id"], words["status"]) == (written["id"], "sent")
    assert words["provider_at"] == datetime.fromtimestamp(1764000010, UTC)
    assert json.loads(words["detail"])["from_app"]
    assert question["answered_by"] == words["id"]
    (talk,) = await talks(shop)
    assert (talk["state"], talk["owner_id"]) == ("assigned", None)
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        assert await conversations.gather(scope, id) is None
        await conversations.release(scope, id)
    assert (await talks(shop))[0]["state"] == "assistant"


async def test_who_writes_first_in_the_app_opens_the_conversation(shop: Shop) -> None:
    picture = echo(type="image", image={"id": "77", "mime_type": "image/jpeg"}, to_user_id="HR.1")
    await shop.deliver(told(picture))
    await shop.work()
    (talk,) = await talks(shop)
    assert talk["state"] == "assigned"
    assert [row["external_id"] for row in await shop.rows("SELECT * FROM contacts")] == ["HR.1"]
    assert [row["text"] for row in await shop.messages()] == ["[image]"]


@pytest.mark.parametrize("how", ["by its name", "by what we sent along", "by our application"])
async def test_what_we_sent_ourselves_is_no_takeover(shop: Shop, how: str) -> None:
    id = await asks(shop)
    ours = await is_sending(shop, id, "It is on its way.")
    written = echo("It is on its way.")
    if how == "by its name":
        await shop.rows("UPDATE messages SET provider_id = $1 WHERE id = $2", written["id"], ours)
    elif how == "by what we sent along":
        written["biz_opaque_callback_data"] = str(ours)
    else:
        written["app_id"] = "4711"
        settings = {**shop.channel.settings, "app_id": "4711"}
        async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
            await channels.configure(scope, shop.channel.id, name="W", settings=settings, status="active")
    await shop.deliver(told(written, field="message_echoes"))
    await shop.work()
    assert (await talks(shop))[0]["state"] == "assistant"
    assert len(await shop.messages()) == 2


async def test_an_echo_that_overtakes_our_own_call_waits_for_it(shop: Shop) -> None:
    id = await asks(shop)
    ours = await is_sending(shop, id, "It is on its way.")
    written = echo("It is on its way.")
    await shop.deliver(told(written))
    await shop.work()
    assert (await shop.inbox())[-1]["error"].endswith("it is tried again")
    await shop.rows(
        "UPDATE messages SET provider_id = $1, status = 'sent' WHERE id = $2", written["id"], ours
    )
    await shop.work(later=True)
    assert (await talks(shop))[0]["state"] == "assistant"
    assert len(await shop.messages()) == 2
    assert (await shop.inbox())[-1]["error"] == "our own message"


@pytest.mark.parametrize(
    ("text", "state"), [("It is on its *way*.", "assistant"), ("No, it isn't.", "assigned")]
)
async def test_after_some_seconds_the_text_decides(shop: Shop, text: str, state: str) -> None:
    id = await asks(shop)
    await is_sending(shop, id, "It is on its way.")
    await shop.deliver(told(echo(text)))
    await shop.work()
    assert (await talks(shop))[0]["state"] == "assistant"
    await shop.rows("UPDATE inbox SET received_at = received_at - interval '16 seconds'")
    await shop.work(later=True)
    assert (await talks(shop))[0]["state"] == state


async def test_what_the_app_changes_and_deletes_is_marked(shop: Shop) -> None:
    written, other = echo("I'll lok."), echo("Wrong chat.")
    await shop.deliver(told(written, other))
    edit = {"original_message_id": written["id"], "message": {"type": "text", "text": {"body": "I'll look."}}}
    await shop.deliver(
        told(echo(type="edit", edit=edit), echo(type="revoke", revoke={"original_message_id": other["id"]}))
    )
    # Whoever it went to cannot take it back.
    await shop.deliver(
        meta.change(meta.value(meta.message(type="revoke", revoke={"original_message_id": written["id"]})))
    )
    await shop.work()
    first, second = await shop.messages()
    assert first["text"] == "I'll look."
    assert json.loads(first["detail"])["edited"]
    assert "deleted" not in json.loads(first["detail"])
    # What we said remains on record.
    assert second["text"] == "Wrong chat."
    assert json.loads(second["detail"])["deleted"]
    assert [row["state"] for row in await shop.inbox()][-1] == "ignored"
