"""What was delivered becomes what people read: once, in order, and forward only."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat import wiring
from metachat.domain import channels, conversations
from metachat.domain.channels import Progress
from metachat.domain.conversations import arrivals, progress
from metachat.domain.conversations.model import Reply
from metachat.domain.conversations.writing import add_message, lock
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.queue import Loop
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import load


def told(*messages: Any, **more: Any) -> dict[str, Any]:
    return meta.change(meta.value(*messages, **more))


async def test_a_text_becomes_a_message_and_a_turn(shop: Shop) -> None:
    text = meta.message("Where is my tent?")
    await shop.deliver(told(text))
    await shop.work()
    (message,) = await shop.messages()
    assert (message["text"], message["author"], message["provider_id"]) == (
        "Where is my tent?", "customer", text["id"],
    )  # fmt: skip
    assert message["provider_at"] == datetime.fromtimestamp(1764000000, UTC)
    assert message["correlation_id"] == (await shop.inbox())[0]["correlation_id"] is not None
    (contact,) = await shop.rows("SELECT * FROM contacts")
    assert (contact["external_id"], contact["name"]) == ("385911234567", "Ana 67")
    assert [row["kind"] for row in await shop.rows("SELECT kind FROM jobs")] == ["turn"]
    assert [row["state"] for row in await shop.inbox()] == ["parsed"]


async def test_delivered_twice_and_replayed_it_is_one_message(shop: Shop, stranger: TenantId) -> None:
    body = meta.webhook(told(meta.message()))
    for _ in range(3):
        await shop.send(body)
        await shop.work()
    (row,) = await shop.inbox()
    async with open_scope(shop.worker, stranger, actor="worker") as scope:
        assert not await arrivals.replay(scope, row["id"])
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        assert await arrivals.replay(scope, row["id"])
        assert not await arrivals.replay(scope, row["id"])  # it waits already
    await shop.work()
    assert len(await shop.messages()) == 1
    assert [row["state"] for row in await shop.inbox()] == ["parsed"]


async def test_the_providers_clock_orders_what_came_out_of_order(shop: Shop) -> None:
    for at in (3, 1, 2):
        await shop.deliver(told(meta.message(f"said {at}", timestamp=str(1764000000 + at))))
    await shop.work()
    assert [row["text"] for row in await shop.messages()] == ["said 1", "said 2", "said 3"]


async def test_somebody_without_a_telephone_number_is_one_person_with_it(shop: Shop) -> None:
    await shop.deliver(told(meta.message("first")))
    await shop.work()
    await shop.deliver(told(meta.message("both", from_user_id="HR.123")))
    await shop.work()
    alone = meta.message("id only", from_user_id="HR.123")
    del alone["from"]
    await shop.deliver(told(alone))
    await shop.work()
    await shop.deliver(told(meta.message("number only")))
    await shop.work()
    (contact,) = await shop.rows("SELECT * FROM contacts")
    assert (contact["external_id"], contact["phone"]) == ("HR.123", "385911234567")
    assert [row["seq"] for row in await shop.messages()] == [1, 2, 3, 4]


async def test_a_changed_number_stays_the_same_person(shop: Shop) -> None:
    await shop.deliver(told(meta.message("old number")))
    system = {"type": "user_changed_number", "new_wa_id": "385990000000", "body": "changed"}
    await shop.deliver(told(meta.message(type="system", system=system)))
    await shop.work()
    await shop.deliver(told(meta.message("new number", sender="385990000000")))
    await shop.work()
    assert len(await shop.rows("SELECT * FROM contacts")) == 1
    assert [row["text"] for row in await shop.messages()] == ["old number", "new number"]


async def test_every_form_is_shown(shop: Shop) -> None:
    forms: dict[str, Any] = {
        "image": {"id": "1", "mime_type": "image/jpeg", "sha256": "x", "caption": "my tent"},
        "audio": {"id": 2, "voice": True}, "video": {"id": "3"}, "sticker": {"id": "4", "animated": "true"},
        "document": {"id": "5", "filename": "receipt.pdf"},
        "location": {"latitude": "45.8150", "longitude": 15.9819, "name": "Zagreb"},
        "contacts": [{"name": {"formatted_name": "Ivo"}, "phones": [{"phone": 38591}]}],
        "interactive": {"type": "button_reply", "button_reply": {"id": "yes", "title": "Yes"}},
        "button": {"text": "No", "payload": "no"},
        "order": {"catalog_id": "c", "product_items": [{"product_retailer_id": "tent", "quantity": 2}]},
        "unsupported": {}, "hologram": {"new": 1},
    }  # fmt: skip
    for kind, content in forms.items():
        item = {**meta.message(), "type": kind, kind: content}
        del item["text"]
        await shop.deliver(told(item))
    listed = {"type": "list_reply", "list_reply": {"id": "2", "title": "Size 2", "description": "d"}}
    await shop.deliver(told(meta.message(type="interactive", interactive=listed)))
    await shop.work()
    assert {row["state"] for row in await shop.inbox()} == {"parsed"}
    shown = [(row["text"], json.loads(row["detail"])) for row in await shop.messages()]
    assert [text for text, _ in shown] == [
        "my tent", "[audio]", "[video]", "[sticker]", "[document]", "Zagreb", "Ivo 38591", "Yes", "No",
        "2 × tent", "[unsupported]", "[hologram]", "Size 2",
    ]  # fmt: skip
    assert shown[0][1]["media"]["id"] == "1"
    assert shown[1][1]["media"] == {"id": "2", "voice": True}
    assert shown[4][1]["media"]["filename"] == "receipt.pdf"
    assert shown[5][1]["location"]["latitude"] == 45.815


async def test_replies_referrals_and_forwards_are_kept(shop: Shop) -> None:
    item = meta.message(
        context={"id": "wamid.before", "forwarded": True}, referral={"source_id": "ad1", "headline": "Tents"}
    )
    await shop.deliver(told(item))
    await shop.work()
    (message,) = await shop.messages()
    detail = json.loads(message["detail"])
    assert (detail["reply_to"], detail["forwarded"]) == ("wamid.before", True)
    assert detail["referral"] == {"source_id": "ad1", "headline": "Tents"}


async def test_reactions_edits_and_deletions_change_the_message(shop: Shop) -> None:
    first, second = meta.message("frist"), meta.message("never mind")
    await shop.deliver(told(first, second))
    edit = {"original_message_id": first["id"], "message": {"type": "text", "text": {"body": "first"}}}
    await shop.deliver(
        told(
            meta.message(type="reaction", reaction={"message_id": first["id"], "emoji": "👍"}),
            meta.message(type="edit", edit=edit),
            meta.message(type="revoke", revoke={"original_message_id": second["id"]}),
        )
    )
    theirs = meta.message(sender="385000", type="revoke", revoke={"original_message_id": first["id"]})
    await shop.deliver(told(theirs))
    await shop.work()
    texts = [row["text"] for row in await shop.messages()]
    assert texts == ["first", "[deleted]"]
    assert '"👍"' in (await shop.messages())[0]["detail"]
    # Whoever is not its author deletes nothing.
    assert [row["state"] for row in await shop.inbox()] == ["parsed"] * 5 + ["ignored"]


async def test_what_cannot_be_understood_is_kept_with_its_reason(shop: Shop) -> None:
    await shop.deliver(
        told(
            {"from": "1", "type": "text"}, {"id": "m1", "type": "text"}, {"from": "1", "id": "m2"},
            {**meta.message(), "type": "location", "location": {"latitude": 900, "longitude": 0}},
            {**meta.message(), "type": "image", "image": "?"}, 7,
            statuses=[meta.status("s", "levitated"), {"status": "sent"}, None], contacts=[],
        )
    )  # fmt: skip
    await shop.deliver(told(meta.message("the next one")))
    await shop.work()
    rows = await shop.inbox()
    assert [row["state"] for row in rows] == ["unparsed"] * 9 + ["parsed"]
    assert all(row["error"] for row in rows[:9])
    assert [row["text"] for row in await shop.messages()] == ["the next one"]


async def test_odd_texts_arrive_whole(shop: Shop) -> None:
    odd = ["🏕️👨‍👩‍👧", "مرحبا", "e\u0301\u0301", "\u0000", " ", "a\u0000b", "x" * 65_536, "\ud7ff\U0010ffff"]
    for text in odd:
        await shop.deliver(told(meta.message(text)))
    await shop.work()
    assert {row["state"] for row in await shop.inbox()} == {"parsed"}
    shown = [row["text"] for row in await shop.messages()]
    assert shown[:3] == odd[:3]
    assert shown[3:6] == ["[text]", "[text]", "ab"]
    assert shown[6].startswith("xxx")
    assert len(shown[6]) < 8_000


async def test_updates_for_another_number_have_no_effect(shop: Shop) -> None:
    await shop.deliver(meta.change(meta.value(meta.message(), number="999")))
    await shop.work()
    assert [row["state"] for row in await shop.inbox()] == ["ignored"]
    assert await shop.messages() == []


async def test_notices_are_events(shop: Shop) -> None:
    await shop.deliver(
        meta.change(
            {"event": "REJECTED", "message_template_name": "hello"}, "message_template_status_update"
        ),
        meta.change({"event": "DISABLED_UPDATE"}, "account_update"),
        meta.change(meta.value(errors=[{"code": 130429, "title": "Rate limit hit"}])),
    )
    await shop.work()
    kinds = [row["kind"] for row in await shop.rows("SELECT kind FROM events ORDER BY id")]
    assert kinds == ["channel.template", "channel.account", "channel.account"]


async def sent(shop: Shop, provider_id: str | None) -> dict[str, Any]:
    """A message of the shop, as delivery leaves it."""
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        started = await conversations.start(scope, shop.channel.id, "385911234567")
        held = await lock(scope, ConversationId(started.id))
        message = await add_message(scope, held, Reply("It is on its way."))
        await scope.db.execute(NAME_IT, p=provider_id, id=message.id)
        return {"id": message.id}


async def status_of(shop: Shop, id: Any) -> str:
    (row,) = await shop.rows("SELECT status FROM messages WHERE id = $1", id)
    return str(row["status"])


NAME_IT = "UPDATE messages SET provider_id = :p WHERE id = :id"
RANK = ["sent", "delivered", "read", "played", "failed"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(RANK), min_size=1, max_size=6))
async def test_statuses_only_move_forward_in_any_order(shop: Shop, steps: list[str]) -> None:
    id = meta.wamid()
    ours = await sent(shop, id)
    seen = ["sent"]
    for number, step in enumerate(steps):
        await shop.deliver(told(statuses=[meta.status(id, step, 1764000000 - number)]))
        await shop.work()
        seen.append(await status_of(shop, ours["id"]))
    assert [RANK.index(step) for step in seen] == sorted(RANK.index(step) for step in seen)
    assert seen[-1] == max(steps, key=RANK.index)


async def test_a_failure_tells_why(shop: Shop) -> None:
    id = meta.wamid()
    await sent(shop, id)
    error = {"code": 131047, "title": "Re-engagement message", "error_data": {"details": "24 hours passed"}}
    await shop.deliver(told(statuses=[meta.status(id, "failed", errors=[error])]))
    await shop.work()
    (message,) = [row for row in await shop.messages() if row["provider_id"] == id]
    assert message["status"] == "failed"
    assert "24 hours passed" in message["detail"]


async def test_a_status_that_comes_before_our_send_has_returned_is_not_lost(shop: Shop) -> None:
    id = meta.wamid()
    ours = await sent(shop, None)
    await shop.deliver(told(statuses=[meta.status(id, "delivered")]))
    await shop.work()
    assert await status_of(shop, ours["id"]) == "queued"
    async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
        await scope.db.execute(NAME_IT, p=id, id=ours["id"])
        await progress.advance(scope, Progress(shop.channel.id, id, "sent"))
    assert await status_of(shop, ours["id"]) == "delivered"


@pytest.mark.parametrize("early", [0, 0.02])
async def test_the_two_halves_of_a_status_may_meet_at_once(shop: Shop, early: float) -> None:
    for _ in range(10):
        id = meta.wamid()
        ours = await sent(shop, None)

        async def returns(id: str = id, ours: dict[str, Any] = ours) -> None:
            async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
                await scope.db.execute(NAME_IT, p=id, id=ours["id"])
                await asyncio.sleep(early)
                await progress.advance(scope, Progress(shop.channel.id, id, "sent"))

        async def told_by_meta(id: str = id) -> None:
            async with open_scope(shop.worker, shop.tenant, actor="worker") as scope:
                await progress.advance(scope, Progress(shop.channel.id, id, "read"))

        await asyncio.gather(returns(), told_by_meta())
        assert await status_of(shop, ours["id"]) == "read"


async def test_a_long_lane_is_worked_off_in_parts(shop: Shop) -> None:
    texts = [meta.message(str(n), timestamp=str(1764000000 + n)) for n in range(250)]
    await shop.deliver(told(*texts[:125]))
    await shop.deliver(told(*texts[125:]))
    await shop.work()
    assert [row["text"] for row in await shop.messages()] == [str(n) for n in range(250)]


async def test_old_updates_are_forgotten_and_waiting_ones_are_not(shop: Shop) -> None:
    await shop.deliver(told(meta.message("old")))
    await shop.work()
    await shop.deliver(told(meta.message("waits")))
    await shop.rows("UPDATE inbox SET received_at = now() - interval '31 days'")
    await shop.deliver(told(meta.message("new")))
    async with shop.worker.transaction() as db:
        assert await channels.inbox.forget_old(db) == 1
        assert await channels.inbox.forget_old(db) == 0
    await shop.work()
    assert len(await shop.messages()) == 3


async def test_a_worker_sees_to_it_that_old_updates_are_forgotten(
    shop: Shop, as_environment: dict[str, str]
) -> None:
    await shop.deliver(told(meta.message("old")))
    await shop.work()
    await shop.rows("UPDATE inbox SET received_at = now() - interval '31 days'")
    async with wiring.open_platform(load(as_environment, "worker"), "worker") as platform:
        for _ in range(2):
            await wiring.begin(platform)
        stop = asyncio.Event()
        handlers = {"tidy-inbox": wiring.HANDLERS["tidy-inbox"]}
        loop = Loop(shop.worker, platform.listener, handlers, platform)
        working = asyncio.create_task(loop.run(stop))
        async with asyncio.timeout(20):
            while await shop.inbox():
                await asyncio.sleep(0.05)
        stop.set()
        await working
    assert len(await shop.rows("SELECT id FROM jobs WHERE kind = 'tidy-inbox' AND run_at > now()")) == 1
