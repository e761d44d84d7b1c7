"""Writes that come twice are done once; lists come in pages; errors say what is wrong."""

import asyncio
from typing import Any

import httpx
import pytest
from tests.web.conftest import Office, Person

from metachat.domain import events
from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.db import Database
from metachat.foundation.scope import open_scope

NEW_KEY = {"name": "shop", "scopes": ["ask"]}
ONCE = {"Idempotency-Key": "order-4711"}


async def keys_of(person: Person) -> list[Any]:
    """List a tenant's keys."""
    items: list[Any] = (await person.sends("GET", "/api/v1/api-keys?limit=100")).json()["items"]
    return items


async def test_a_repeated_write_is_answered_and_not_done_again(acme: Office, app_db: Database) -> None:
    owner = await acme.enters(Role.OWNER)
    first = await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    again = await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (
        None,
        "true",
    )
    assert len(await keys_of(owner)) == 1
    async with app_db.transaction(tenant=acme.tenant) as db:
        row = await db.one("SELECT * FROM idempotency_keys")
    # The answer holds a key that is shown once: it must not lie readable in the database.
    assert row is not None
    assert first.json()["secret"].encode() not in row["body_sealed"]


async def test_the_same_key_with_another_request_is_refused(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    other = await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY | {"name": "other"}, headers=ONCE)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    # Neither may another member read the answer by the same request.
    admin = await acme.enters(Role.ADMIN)
    theirs = await admin.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    assert (theirs.status_code, theirs.json()["code"]) == (422, "idempotency_key_reused")


async def test_two_at_once_have_one_effect(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    answers = await asyncio.gather(
        *(owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE) for _ in range(8))
    )
    statuses = {answer.status_code for answer in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {
        "request_still_running"
    }
    assert len({answer.json()["secret"] for answer in answers if answer.status_code == 201}) == 1
    assert len(await keys_of(owner)) == 1


async def test_a_refused_write_keeps_nothing(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    taken = {"email": "agent@acme.example", "role": "viewer"}
    for _ in range(2):
        refused = await owner.sends("POST", "/api/v1/members", json=taken, headers=ONCE)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_member")


async def test_keys_of_two_tenants_never_meet(acme: Office, rival: Office) -> None:
    ours, theirs = await acme.enters(Role.OWNER), await rival.enters(Role.OWNER)
    first = await ours.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    second = await theirs.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    assert second.status_code == 201
    assert first.json()["secret"] != second.json()["secret"]


async def test_an_answer_is_kept_for_a_day(acme: Office, app_db: Database) -> None:
    owner = await acme.enters(Role.OWNER)
    await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    async with app_db.transaction(tenant=acme.tenant) as db:
        await db.execute("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    again = await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers=ONCE)
    assert "idempotency-replayed" not in again.headers
    assert len(await keys_of(owner)) == 2


@pytest.mark.parametrize("key", ["", " ", "two words", "x" * 256])
async def test_a_key_has_a_form(acme: Office, key: str) -> None:
    owner = await acme.enters(Role.OWNER)
    answer = await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")


async def test_a_list_is_walked_through_without_gaps_while_it_grows(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    for _ in range(7):
        await acme.key(ApiScope.ASK)
    expected = [one["id"] for one in await keys_of(owner)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        part = (await owner.sends("GET", "/api/v1/api-keys", params=query)).json()
        seen += [one["id"] for one in part["items"]]
        await acme.key(ApiScope.ASK)  # newer ones come before the first page and shift nothing
        cursor = part["next_cursor"]
        if cursor is None:
            break
    assert seen == expected


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=%00", "cursor=!!", "cursor=YWJj"]
)
async def test_what_a_list_does_not_understand_is_a_422(acme: Office, query: str) -> None:
    owner = await acme.enters(Role.OWNER)
    for path in ("api-keys", "members", "audit", "events", "conversations"):
        answer = await owner.sends("GET", f"/api/v1/{path}?{query}")
        assert answer.status_code == 422, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_field_that_is_wrong_is_named(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    wrong = {"name": "shop", "scopes": ["ask", "everything"]}
    answer = await owner.sends("POST", "/api/v1/api-keys", json=wrong)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (422, "invalid", 422)
    assert "scopes" in problem["errors"][0]["field"]


@pytest.mark.parametrize("body", [b"{", b"\xff", b'"\\ud800"', b""])
async def test_what_is_no_json_is_refused(acme: Office, body: bytes) -> None:
    owner = await acme.enters(Role.OWNER)
    answer = await owner.sends(
        "POST", "/api/v1/api-keys", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_too_large_is_refused(nobody: httpx.AsyncClient) -> None:
    large = b'{"email": "' + b"a" * 2_000_000 + b'"}'
    headers = {"Content-Type": "application/json"}
    answer = await nobody.post("/api/v1/session", content=large, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_bug_tells_its_number_and_nothing_else(
    acme: Office, app_db: Database, databases: Any
) -> None:
    import asyncpg

    owner = await acme.enters(Role.OWNER)
    connection = await asyncpg.connect(databases.superuser)
    await connection.execute("ALTER TABLE api_keys RENAME TO api_keys_gone")
    await connection.close()
    answer = await owner.sends("GET", "/api/v1/api-keys", headers={"X-Request-ID": "case-7"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["request_id"]) == (500, "internal", "case-7")
    assert "api_keys_gone" not in answer.text
    assert "relation" not in answer.text


async def test_events_are_followed_with_a_cursor(acme: Office, rival: Office) -> None:
    agent, stranger = await acme.enters(Role.AGENT), await rival.enters(Role.AGENT)
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        for number in range(3):
            await events.record(scope, "message.received", number=number)
    first = (await agent.sends("GET", "/api/v1/events?limit=2")).json()
    rest = (await agent.sends("GET", f"/api/v1/events?cursor={first['next_cursor']}")).json()
    assert [one["data"]["number"] for one in first["items"] + rest["items"]] == [0, 1, 2]
    quiet = (await agent.sends("GET", f"/api/v1/events?cursor={rest['next_cursor']}")).json()
    assert (quiet["items"], quiet["next_cursor"]) == ([], rest["next_cursor"])
    assert (await stranger.sends("GET", "/api/v1/events")).json()["items"] == []
