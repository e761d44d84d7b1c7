"""Who may come in, and how those are sent away who may not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.chat import house
from tests.conftest import Databases

from metachat.domain.channels import Channel, configure
from metachat.foundation.clock import now
from metachat.foundation.db import Database
from metachat.foundation.fingerprint import fingerprint
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.scope import open_scope
from metachat.web.chat import Limits, Rate
from metachat.web.chat.visitors import LIFETIME, Tokens, Visitor

Visit = Callable[..., Awaitable[house.Visitor]]


async def test_a_stranger_tenants_visitor_sees_nothing_of_ours(
    visit: Visit, app_db: Database, stranger: TenantId, channel: Channel
) -> None:
    theirs = await house.open_channel(app_db, stranger)
    ana, eve = await visit(), await visit(at=theirs)
    await ana.says("My order number is 4711")
    eve.http.base_url = ana.http.base_url  # her token, our channel's address
    for response in (await eve.gets("/messages"), await eve.says("hello"), await eve.gets("/events")):
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["code"] == "visitor_token_refused"


@pytest.mark.parametrize("change", ["realm", "audience", "tenant", "expired", "unsigned", "other secret"])
async def test_a_token_that_is_not_ours_is_refused(
    visit: Visit, channel: Channel, stranger: TenantId, change: str
) -> None:
    visitor = await visit()
    conversation = visitor.session["conversation"]["id"]
    visitor.session["token"] = _forged(change, channel, stranger, conversation)
    response = await visitor.gets("/messages")
    # A token of another tenant that we had signed ourselves would still find nothing there.
    assert response.status_code == (404 if change == "tenant" else 401)


def _forged(change: str, channel: Channel, stranger: TenantId, conversation: str) -> str:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    claims = {
        "iss": "metachat", "aud": "visitor", "sub": "x", "exp": int((now() + LIFETIME).timestamp()),
        "tenant": str(channel.tenant_id), "channel": str(channel.id), "conversation": conversation,
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "realm": {"iss": "another"},
        "audience": {"aud": "member"},
        "tenant": {"tenant": str(stranger)},
        "expired": {"exp": 1},
    }
    secret = "x" * 40 if change == "other secret" else house.SECRET.reveal()
    header = {"alg": "HS256", "kid": fingerprint(house.SECRET.reveal())}
    token = jwt.encode(header, {**claims, **changes.get(change, {})}, OctKey.import_key(secret))
    if change == "unsigned":
        head, body, _ = token.split(".")
        return f"{head}.{body}."
    return token


async def test_a_token_without_a_tenant_fails_closed(visit: Visit, channel: Channel) -> None:
    from joserfc import jwt
    from joserfc.jwk import OctKey

    visitor = await visit()
    claims = {"iss": "metachat", "aud": "visitor", "sub": "x", "exp": 2**40, "channel": str(channel.id)}
    key = OctKey.import_key(house.SECRET.reveal())
    visitor.session["token"] = jwt.encode(
        {"alg": "HS256", "kid": fingerprint(house.SECRET.reveal())}, claims, key
    )
    assert (await visitor.gets("/messages")).status_code == 401


async def test_a_token_renews_the_session_of_its_own_conversation(visit: Visit) -> None:
    visitor = await visit()
    before = visitor.session["conversation"]["id"]
    await visitor.begins()
    assert visitor.session["conversation"]["id"] == before
    visitor.session["token"] = "not-a-token-at-all-but-long-enough"
    await visitor.begins()
    assert visitor.session["conversation"]["id"] != before


async def test_only_allowed_pages_may_hold_the_chat(
    visit: Visit, app_db: Database, tenant: TenantId, door: str
) -> None:
    channel = await house.open_channel(app_db, tenant, allowed_origins=["https://shop.example"])
    shop = house.Visitor(door, channel, Origin="https://shop.example")
    response = await shop.http.post("/sessions", json={})
    assert response.status_code == 201
    assert response.headers["access-control-allow-origin"] == "https://shop.example"
    preflight = await shop.http.options("/messages", headers={"Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 204
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    thief = house.Visitor(door, channel, Origin="https://evil.example")
    refused = await thief.http.post("/sessions", json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in refused.headers
    own = house.Visitor(door, channel, Origin=door)
    assert (await own.http.post("/sessions", json={})).status_code == 201
    for visitor in (shop, thief, own):
        await visitor.leaves()


async def test_a_paused_channel_takes_nothing_in(
    app_db: Database, tenant: TenantId, door: str, channel: Channel
) -> None:
    async with open_scope(app_db, tenant, actor="cli") as scope:
        await configure(scope, channel.id, name="Shop", settings={}, status="paused")
    visitor = house.Visitor(door, channel)
    response = await visitor.http.post("/sessions", json={})
    assert (response.status_code, response.json()["code"]) == (503, "channel_paused")
    assert (await visitor.http.get("/look")).json()["paused"] is True
    await visitor.leaves()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"text": "   ", "client_key": "key-12345678"}, 422, "empty_message"),
        ({"text": "x" * 8001, "client_key": "key-12345678"}, 422, "message_too_long"),
        ({"text": "x", "client_key": "short"}, 422, "bad_client_key"),
        ({"text": "x", "client_key": "key:12345678"}, 422, "bad_client_key"),
        ({"text": 7, "client_key": "key-12345678"}, 422, "malformed_body"),
        ({"client_key": "key-12345678"}, 422, "malformed_body"),
        ({"text": "x" * 70_000, "client_key": "key-12345678"}, 413, "too_large"),
    ],
)
async def test_what_cannot_be_a_message_is_refused_in_words(
    visit: Visit, body: dict[str, Any], status: int, code: str
) -> None:
    visitor = await visit()
    response = await visitor.posts("/messages", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert await visitor.history() == []


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b"[]", b'{"text": "\\ud800", "client_key": "key-12345678"}']
)
async def test_broken_json_is_refused(visit: Visit, body: bytes) -> None:
    visitor = await visit()
    assert (await visitor.posts("/messages", content=body)).status_code == 422


@pytest.mark.parametrize("text", ["👩‍👩‍👧 ok?", "שלום עולם", "e\u0301", "a\x00b", "\u202eabc", "🏔" * 2000])
async def test_any_text_arrives_as_it_was_sent(visit: Visit, text: str) -> None:
    visitor = await visit()
    assert (await visitor.says(text)).status_code == 202
    assert [message["text"] for message in await visitor.history()] == [text.replace("\x00", "")]


async def test_a_body_that_hides_its_size_is_cut(visit: Visit) -> None:
    visitor = await visit()

    async def growing() -> Any:
        for _ in range(20):
            yield b"x" * 8192

    response = await visitor.posts("/messages", content=growing())
    assert response.status_code == 413


async def test_unknown_places_are_not_there(door: str, channel: Channel) -> None:
    async with httpx.AsyncClient(base_url=door) as client:
        for path in ("/chat/", "/chat/x/messages", f"/chat/{uuid7()}/look", f"/chat/{channel.id}/nothing"):
            response = await client.get(path)
            assert (response.status_code, response.json()["status"]) == (404, 404), path
        assert (await client.delete(f"/chat/{channel.id}/messages")).status_code == 404


async def test_a_visitor_who_hurries_has_to_wait(databases: Databases, channel: Channel) -> None:
    limits = Limits(messages_per_visitor=Rate(3, 0.1), streams_per_visitor=1)
    async with house.door_open(databases.app, limits) as door:
        visitor = await house.Visitor(door, channel).begins()
        answers = [await visitor.says(f"message {number}") for number in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        async with visitor.reads() as events:
            await anext(events)
            assert (await visitor.gets("/events")).status_code == 429
        await visitor.leaves()


async def test_a_citation_opens_its_passage_only_where_it_was_cited(visit: Visit, worker: Any) -> None:
    visitor, other = await visit(), await visit()
    await visitor.hears("How long does delivery to Austria take?")
    # The scripted search invents its passage; what counts here is who is let through to the look-up.
    assert (await visitor.gets("/passages/1")).json()["code"] == "passage_not_found"
    assert (await other.gets("/passages/1")).status_code == 404
    assert (await other.gets("/passages/999999999999999999")).status_code == 404


async def test_a_reader_who_leaves_is_forgotten(visit: Visit) -> None:
    visitor = await visit()
    for _ in range(Limits().streams_per_visitor + 3):
        async with visitor.reads() as events:
            await anext(events)
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        while (await visitor.gets("/messages")).status_code != 200:
            await asyncio.sleep(0.05)


def test_a_token_tells_its_visitor(channel: Channel) -> None:
    tokens = Tokens(house.SECRET)
    visitor = Visitor(channel.tenant_id, channel.id, "someone", uuid7())  # type: ignore[arg-type]
    assert tokens.read(tokens.issue(visitor), channel.id) == visitor
