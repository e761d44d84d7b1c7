"""What becomes of a message that Meta refuses."""

import json
from typing import Any

import pytest
from tests.sending.conftest import ANA, Shop

from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope

IVO = "385917654321"


async def trouble(shop: Shop) -> list[dict[str, Any]]:
    return await shop.rows("SELECT * FROM findings WHERE resolved_at IS NULL")


@pytest.mark.parametrize("code", [131000, 2, 130429])
async def test_a_passing_refusal_is_tried_again_until_it_goes(shop: Shop, code: int) -> None:
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.fails("error", code=code, times=2)
        message = await shop.answers(id, "It is on its way.")
        row = await shop.came_to(message, "sent")
        assert "waiting" not in row["detail"]
    assert shop.at_phones().count("It is on its way.") == 1
    assert not await trouble(shop)


async def test_what_waits_shows_for_what(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.fails("error", code=131048)
        message = await shop.answers(id, "Patience.")
        (row,) = await shop.until(
            "SELECT detail FROM messages WHERE id = $1 AND detail ? 'waiting'", message.id
        )
    waiting = json.loads(row["detail"])["waiting"]
    assert (waiting["code"], waiting["remedy"]) == ("131048", "wait")
    (delivery,) = await shop.rows("SELECT * FROM deliveries")
    assert (delivery["attempts"], delivery["started_at"]) == (1, None)


async def test_an_undeliverable_message_fails_and_the_next_one_goes(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.fails("error", code=131026, times=1)
        lost, next_one = await shop.answers(id, "Lost"), await shop.answers(id, "Arrives")
        row = await shop.came_to(lost, "failed")
        await shop.came_to(next_one, "sent")
    assert row["detail"]["failed"]["code"] == "131026"
    assert "cannot reach this person" in row["detail"]["failed"]["reason"]
    assert "Lost" not in shop.at_phones()
    told = await shop.rows("SELECT data FROM events WHERE kind = 'message.status' AND subject = $1", id)
    said = [json.loads(row["data"]) for row in told]
    assert [data["status"] for data in said if data["message"] == str(lost.id)] == ["failed"]
    assert not await shop.rows("SELECT * FROM deliveries")


async def test_an_expired_token_is_told_once_holds_the_messages_and_loses_none(
    shop: Shop, stranger: TenantId, capfd: pytest.CaptureFixture[str]
) -> None:
    async with shop.worker():
        ana, ivo = await shop.greeted(ANA), await shop.greeted(IVO)
        shop.meta.change(grant="expired")
        held = [await shop.answers(ana, "For Ana"), await shop.answers(ivo, "For Ivo")]
        await shop.until("SELECT FROM deliveries HAVING count(*) FILTER (WHERE attempts > 0) = 2")
        (finding,) = await trouble(shop)
        assert (finding["kind"], finding["subject"]) == ("channel.trouble.token", shop.channel.id)
        assert len(await shop.rows("SELECT FROM events WHERE kind = 'channel.trouble'")) == 1
        async with open_scope(shop.platform.database, stranger, actor="test") as scope:
            assert not await scope.db.all("SELECT id FROM findings")
        shop.meta.change(grant="valid")
        for message in held:
            await shop.came_to(message, "sent", within=30)
        await shop.until("SELECT FROM findings HAVING count(*) FILTER (WHERE resolved_at IS NULL) = 0")
    assert {"For Ana", "For Ivo"} <= set(shop.at_phones())
    logged = "".join(capfd.readouterr())
    assert "a message was not sent" in logged
    assert shop.account.access_token not in logged


async def test_a_wrong_template_fails_its_message_and_is_told(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        message = await shop.answers(
            id, "Offer", template={"name": "no_such", "language": {"code": "en"}, "components": []}
        )
        row = await shop.came_to(message, "failed")
        after = await shop.answers(id, "Still here")
        await shop.came_to(after, "sent")
    assert row["detail"]["failed"]["remedy"] == "tell"
    assert [finding["kind"] for finding in await trouble(shop)] == ["channel.trouble.template"]


async def test_a_failure_that_meta_tells_later_is_shown_with_its_reason(shop: Shop) -> None:
    shop.meta.habits(late_errors=True)
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.fails("error", code=131026, times=1)
        row = await shop.came_to(await shop.answers(id, "Lost"), "failed")
    assert row["detail"]["failed"]["code"] == "131026"
    assert row["provider_id"]


async def test_a_message_is_not_tried_for_longer_than_a_day(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.fails("error", code=131000)
        message = await shop.answers(id, "Too late")
        await shop.until("SELECT FROM deliveries WHERE attempts > 0")
        await shop.rows("UPDATE deliveries SET created_at = now() - interval '25 hours'")
        row = await shop.came_to(message, "failed", within=20)
    assert "within 24 hours" in row["detail"]["failed"]["reason"]
