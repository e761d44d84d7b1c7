"""Signing in, staying in, getting out; and what keeps others from doing it for you."""

import asyncio
import time

import httpx
import pytest
from tests.web.conftest import PASSWORD, Office, Person

from metachat.domain.accounts import Role
from metachat.foundation.db import Database

OWNER = {"email": "owner@acme.example", "password": PASSWORD}


async def test_an_owner_signs_in_and_out(acme: Office) -> None:
    answer = await acme.client.post("/api/v1/session", json=OWNER)
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("mc_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert answer.json()["member"]["role"] == "owner"
    acme.client.cookies.clear()
    owner = Person(acme.client, answer.json(), f"mc_session={answer.cookies['mc_session']}")
    assert (await owner.sends("GET", "/api/v1/session")).json()["tenant"]["slug"] == "acme"
    assert (await owner.sends("DELETE", "/api/v1/session")).status_code == 204
    assert (await owner.sends("GET", "/api/v1/session")).status_code == 401


async def test_over_https_the_cookie_is_bound_to_the_host(acme: Office) -> None:
    answer = await acme.client.post("https://shop.example/api/v1/session", json=OWNER)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-mc_session=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    token = cookie.partition("=")[2].partition(";")[0]
    acme.client.cookies.clear()
    # The unprefixed name could be planted by a neighbour domain or over plain HTTP: not taken here.
    planted = await acme.client.get(
        "https://shop.example/api/v1/session", headers={"Cookie": f"mc_session={token}"}
    )
    assert planted.status_code == 401


async def test_plain_http_is_for_this_machine_only(acme: Office) -> None:
    answer = await acme.client.post("http://192.0.2.7/api/v1/session", json=OWNER)
    assert (answer.status_code, answer.json()["code"]) == (403, "https_required")


@pytest.mark.parametrize("email", ["owner@acme.example", "nobody@acme.example"])
async def test_a_wrong_password_and_an_unknown_address_look_alike(acme: Office, email: str) -> None:
    answer = await acme.client.post("/api/v1/session", json={"email": email, "password": "not the password"})
    problem = answer.json()
    assert answer.status_code == 401
    assert (problem["code"], problem["title"]) == (
        "wrong_credentials",
        "E-mail address or password is wrong.",
    )
    assert "set-cookie" not in answer.headers


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(acme: Office) -> None:
    async def fastest(email: str) -> float:
        times = []
        for _ in range(4):
            began = time.perf_counter()
            await acme.client.post("/api/v1/session", json={"email": email, "password": "not the password"})
            times.append(time.perf_counter() - began)
        return min(times)

    known, unknown = await fastest("owner@acme.example"), await fastest("nobody@acme.example")
    # Without the hash of nobody it is ten times faster; the fastest of several leaves the noise out.
    assert unknown > known / 2


async def test_guessing_at_an_account_is_slowed_down(acme: Office) -> None:
    wrong = {"email": "agent@acme.example", "password": "a guess like any other"}
    tries = [await acme.client.post("/api/v1/session", json=wrong) for _ in range(11)]
    assert [answer.status_code for answer in tries] == [401] * 10 + [429]
    assert int(tries[-1].headers["retry-after"]) > 0
    # Not even the right password gets through now, so a guess learns nothing.
    right = await acme.client.post("/api/v1/session", json=wrong | {"password": PASSWORD})
    assert right.status_code == 429
    # Everyone else still gets in.
    assert (await acme.client.post("/api/v1/session", json=OWNER)).status_code == 201


async def test_a_flood_at_once_gets_no_more_tries(acme: Office) -> None:
    wrong = {"email": "agent@acme.example", "password": "a guess like any other"}
    answers = await asyncio.gather(*(acme.client.post("/api/v1/session", json=wrong) for _ in range(25)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 10 + [429] * 15


async def test_success_forgets_the_tries_before(acme: Office) -> None:
    wrong = OWNER | {"password": "mistyped once more"}
    for _ in range(3):
        for _ in range(4):
            assert (await acme.client.post("/api/v1/session", json=wrong)).status_code == 401
        assert (await acme.client.post("/api/v1/session", json=OWNER)).status_code == 201


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_another_site_cannot_sign_anyone_in(acme: Office, headers: dict[str, str]) -> None:
    answer = await acme.client.post("/api/v1/session", json=OWNER, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


async def test_a_write_needs_the_token_of_its_session(acme: Office) -> None:
    owner, admin = await acme.enters(Role.OWNER), await acme.enters(Role.ADMIN)
    change = {"name": "Acme & Sons"}
    without = await acme.client.patch("/api/v1/tenant", json=change, headers={"Cookie": owner.cookie})
    assert (without.status_code, without.json()["code"]) == (403, "csrf_token_wrong")
    borrowed = {"X-CSRF-Token": admin.session["csrf_token"]}
    other = await owner.sends("PATCH", "/api/v1/tenant", json=change, headers=borrowed)
    assert other.status_code == 403
    foreign = await owner.sends(
        "PATCH", "/api/v1/tenant", json=change, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert foreign.json()["code"] == "cross_site"
    assert (await owner.sends("PATCH", "/api/v1/tenant", json=change)).json()["name"] == "Acme & Sons"


async def test_sessions_end_by_age_and_by_silence(acme: Office, app_db: Database) -> None:
    owner, agent, viewer = [await acme.enters(role) for role in (Role.OWNER, Role.AGENT, Role.VIEWER)]
    async with app_db.transaction(tenant=acme.tenant) as db:
        await db.execute(
            "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE user_id::text = :user",
            user=owner.session["member"]["id"],
        )
        await db.execute(
            "UPDATE sessions SET last_seen_at = now() - interval '13 hours' WHERE user_id::text = :user",
            user=agent.session["member"]["id"],
        )
    assert (await owner.sends("GET", "/api/v1/session")).status_code == 401
    assert (await agent.sends("GET", "/api/v1/session")).status_code == 401
    assert (await viewer.sends("GET", "/api/v1/session")).status_code == 200


async def test_the_database_holds_no_token_and_no_password(acme: Office, app_db: Database) -> None:
    owner = await acme.enters(Role.OWNER)
    token = owner.cookie.partition("=")[2]
    async with app_db.transaction(tenant=acme.tenant) as db:
        session = await db.one("SELECT * FROM sessions")
        user = await db.one("SELECT * FROM users LIMIT 1")
    assert session is not None
    assert user is not None
    assert token not in str(session)
    assert PASSWORD not in str(user)
    assert user["password_hash"].startswith("$argon2id$")


async def test_a_new_password_ends_the_other_sessions(acme: Office) -> None:
    here, there = await acme.enters(Role.AGENT), await acme.enters(Role.AGENT)
    wrong = {"current": "not the password", "new": "a new long password"}
    assert (await here.sends("POST", "/api/v1/session/password", json=wrong)).status_code == 401
    assert (await there.sends("GET", "/api/v1/session")).status_code == 200
    right = wrong | {"current": PASSWORD}
    assert (await here.sends("POST", "/api/v1/session/password", json=right)).status_code == 204
    assert (await here.sends("GET", "/api/v1/session")).status_code == 200
    assert (await there.sends("GET", "/api/v1/session")).status_code == 401
    old = await acme.client.post(
        "/api/v1/session", json={"email": "agent@acme.example", "password": PASSWORD}
    )
    assert old.status_code == 401


async def test_a_password_too_long_to_hash_is_refused_before(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.post("/api/v1/session", json={"email": "a@b.example", "password": "x" * 5000})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
