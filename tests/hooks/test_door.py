"""The door believes only what the channel's own app signed, and acknowledges only what is stored."""

import asyncio
import json
from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain.channels.whatsapp import Credentials, connect
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.scope import open_scope


async def test_the_handshake_answers_the_right_token_only(shop: Shop) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": meta.TOKEN, "hub.challenge": "1158201444"}
    answer = await shop.client.get(shop.address, params=query)
    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    for wrong in ({"hub.verify_token": "guess"}, {"hub.mode": "unsubscribe"}, {"hub.challenge": ""}):
        refused = await shop.client.get(shop.address, params={**query, **wrong})
        assert refused.status_code == 403
        assert "1158201444" not in refused.text


BODY = meta.webhook(meta.change(meta.value(meta.message())))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401),
        ({"x-hub-signature-256": ""}, 401),
        ({"x-hub-signature-256": "sha256="}, 403),
        ({"x-hub-signature-256": "sha256=" + "0" * 64}, 403),
        ({"x-hub-signature-256": "sha1=" + meta.signed(BODY)["x-hub-signature-256"][7:]}, 403),
        (meta.signed(BODY, "another app's secret"), 403),
        (meta.signed(BODY, ""), 403),
        (meta.signed(BODY + b" "), 403),
        ({"x-hub-signature-256": meta.signed(BODY)["x-hub-signature-256"].upper()}, 403),
        ({"x-hub-signature-256": "sha256=\xff\xfe"}, 403),
        ({"x-hub-signature": meta.signed(BODY)["x-hub-signature-256"]}, 401),
    ],
)
async def test_without_the_apps_signature_nothing_is_stored(
    shop: Shop, headers: dict[str, str], code: int
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = await shop.client.post(shop.address, content=BODY, headers=raw)
    assert answer.status_code == code
    assert await shop.inbox() == []
    metrics = (await shop.client.get("/metrics")).text
    reason = "signature_missing" if code == 401 else "signature_wrong"
    assert f'metachat_hooks_refused_total{{provider="whatsapp",reason="{reason}"}}' in metrics


async def test_the_secret_of_one_channel_opens_no_other(shop: Shop, stranger: TenantId) -> None:
    async with open_scope(shop.platform.database, stranger, actor="test") as scope:
        credentials = Credentials(app_secret="the stranger's app secret")
        theirs = await connect(scope, shop.platform.encryption_key, "Theirs", credentials)
        empty = await connect(scope, shop.platform.encryption_key, "No secret yet", Credentials())
    for channel in (theirs, empty):
        for secret in (meta.SECRET, ""):
            answer = await shop.client.post(
                f"/hooks/whatsapp/{channel.id}", content=BODY, headers=meta.signed(BODY, secret)
            )
            assert answer.status_code == 403
    # A sealed secret that somebody copied to another channel opens nothing there.
    await shop.rows(
        "UPDATE channels SET settings = $1 WHERE id = $2", json.dumps(shop.channel.settings), theirs.id
    )
    assert await shop.inbox() == []


async def test_what_is_not_there_is_not_found(shop: Shop) -> None:
    for address in (
        f"/hooks/whatsapp/{uuid7()}",
        "/hooks/whatsapp/x",
        "/hooks",
        f"/hooks/carrier/{shop.channel.id}",
    ):
        answer = await shop.client.post(address, content=BODY, headers=meta.signed(BODY))
        assert answer.status_code == 404
    assert (await shop.client.put(shop.address, content=BODY)).status_code == 404


async def test_every_update_of_a_batch_is_a_row(shop: Shop) -> None:
    texts = [meta.message(f"question {n}", sender=f"38591{n:07d}") for n in range(300)]
    steps = [meta.status(meta.wamid(), step) for step in ("sent", "delivered") for _ in range(300)]
    template = meta.change({"event": "APPROVED", "message_template_id": 1}, "message_template_status_update")
    account = meta.change({"event": "VERIFIED_ACCOUNT"}, "account_update")
    strange = meta.change({"wonder": 1}, "something_new")
    answer = await shop.deliver(
        meta.change(meta.value(*texts, statuses=steps)), template, account, strange,
        meta.change(meta.value(errors=[{"code": 131000, "title": "Something went wrong"}])),
    )  # fmt: skip
    assert answer.status_code == 200
    rows = await shop.inbox()
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in {row["kind"] for row in rows}}
    assert kinds == {"message": 300, "status": 600, "template": 1, "account": 2, "unknown": 1}
    # Each holds the one update, and what is needed to understand it.
    first = json.loads(rows[0]["payload"])["entry"][0]["changes"][0]["value"]
    assert [item["text"]["body"] for item in first["messages"]] == ["question 0"]
    assert [contact["wa_id"] for contact in first["contacts"]] == ["385910000000"]
    assert first["metadata"]["phone_number_id"] == meta.NUMBER
    jobs = await shop.rows("SELECT lane FROM jobs WHERE kind = 'inbox'")
    assert len(jobs) == 302  # one a sender, one for the recipient, one for the channel's own


async def test_a_lone_update_is_kept_byte_for_byte(shop: Shop) -> None:
    body = meta.webhook(meta.change(meta.value(meta.message("š 🏕 \u202e")))) + b"\n "
    assert (await shop.send(body)).status_code == 200
    assert [row["payload"] for row in await shop.inbox()] == [body]


async def test_delivered_again_and_at_once_it_is_one_row(shop: Shop) -> None:
    texts = [meta.message(f"n {n}") for n in range(50)]
    whole = meta.webhook(meta.change(meta.value(*texts)))
    halves = [
        meta.webhook(meta.change(meta.value(*part))) for part in (reversed(texts[:30]), texts[20:], texts[:1])
    ]
    answers = await asyncio.gather(*(shop.send(body) for body in [whole, *halves] * 8))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await shop.inbox()) == 50


async def test_malformed_and_unknown_bodies_are_kept(shop: Shop) -> None:
    bodies = [
        b"", b"{", b"\x00\xff\xfe", b"[]", b"null", b"{}", b'{"entry": 3}', b'{"entry": []}',
        b'{"entry": [{"changes": [{"field": "messages"}]}]}', b"[" * 100_000, b'{"a":' * 50_000,
        b'{"entry": [7, null, {"changes": [7, null, {"field": 7, "value": 7}]}]}', b"1" * 5_000, b'"\\ud800"',
    ]  # fmt: skip
    for body in bodies:
        assert (await shop.send(body)).status_code == 200
        assert (await shop.send(body)).status_code == 200  # again: no second row
    rows = await shop.inbox()
    assert {row["state"] for row in rows} == {"unparsed"}
    assert all(row["error"] for row in rows)
    assert {row["kind"] for row in rows} == {"malformed", "unknown"}
    whole = {row["payload"] for row in rows}
    assert set(bodies[:11]) <= whole


async def test_more_updates_than_allowed_are_kept_whole(shop: Shop) -> None:
    body = meta.webhook(meta.change(meta.value(*(meta.message() for _ in range(1_001)))))
    assert (await shop.send(body)).status_code == 200
    (row,) = await shop.inbox()
    assert (row["payload"], row["state"]) == (body, "unparsed")


async def test_a_body_is_taken_up_to_three_megabytes(shop: Shop) -> None:
    limit = 3 * 1024 * 1024
    body = meta.webhook(meta.change(meta.value(meta.message("x"))))
    body += b" " * (limit - len(body))
    assert (await shop.send(body)).status_code == 200
    assert (await shop.send(body + b" ")).status_code == 413

    async def endless() -> Any:
        for _ in range(400):
            yield b" " * 10_000

    answer = await shop.client.post(shop.address, content=endless(), headers=meta.signed(b""))
    assert answer.status_code == 413
    assert len(await shop.inbox()) == 1


async def test_a_large_context_is_not_multiplied(shop: Shop) -> None:
    huge = {"wa_id": "385911234567", "profile": {"name": "x" * 1_000_000}}
    texts = [meta.message(str(n)) for n in range(500)]
    answer = await shop.deliver(meta.change(meta.value(*texts, contacts=[huge])))
    assert answer.status_code == 200
    rows = await shop.inbox()
    assert len(rows) == 500
    assert sum(len(row["payload"]) for row in rows) < 1_000_000


async def test_the_applications_role_reads_its_own_tenants_rows_only(shop: Shop, stranger: TenantId) -> None:
    await shop.deliver(meta.change(meta.value(meta.message())))
    for tenant, count in ((shop.tenant, 1), (stranger, 0), (None, 0)):
        async with shop.platform.database.transaction(tenant=tenant) as db:
            assert await db.value("SELECT count(*) FROM inbox") == count
