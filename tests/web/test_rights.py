"""Who may do what: roles, keys, and the wall between tenants."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.web.conftest import PASSWORD, Office

from metachat.domain import channels, conversations
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.channels import Inbound
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope

NEW_KEY = {"name": "shop", "scopes": ["ask"]}

# The least role that may do it. All others below get a 403, and nobody at all a 401.
MATRIX = [
    ("GET", "/api/v1/tenant", None, Role.VIEWER),
    ("GET", "/api/v1/members", None, Role.VIEWER),
    ("GET", "/api/v1/conversations", None, Role.VIEWER),
    ("GET", "/api/v1/events", None, Role.AGENT),
    ("GET", "/api/v1/audit", None, Role.ADMIN),
    ("GET", "/api/v1/api-keys", None, Role.ADMIN),
    ("PATCH", "/api/v1/tenant", {"name": "New"}, Role.ADMIN),
    ("POST", "/api/v1/api-keys", NEW_KEY, Role.ADMIN),
    ("POST", "/api/v1/members", {"email": "new@acme.example", "role": "viewer"}, Role.ADMIN),
]


@pytest.mark.parametrize(("method", "path", "body", "least"), MATRIX)
async def test_each_role_may_what_it_may(
    acme: Office, method: str, path: str, body: Any, least: Role
) -> None:
    assert (await acme.client.request(method, path, json=body)).status_code == 401
    for role in Role:
        person = await acme.enters(role)
        status = (await person.sends(method, path, json=body)).status_code
        if role.covers(least):
            assert status < 300 or status == 409, (role, status)
        else:
            assert status == 403, (role, status)


async def test_nobody_gives_or_takes_a_role_above_their_own(acme: Office) -> None:
    admin, owner = await acme.enters(Role.ADMIN), await acme.enters(Role.OWNER)
    boss = f"/api/v1/members/{owner.session['member']['id']}"
    own = f"/api/v1/members/{admin.session['member']['id']}"
    assert (await admin.sends("PATCH", own, json={"role": "owner"})).status_code == 403
    assert (await admin.sends("PATCH", boss, json={"role": "viewer"})).status_code == 403
    assert (await admin.sends("DELETE", boss)).status_code == 403
    new = {"email": "second@acme.example", "role": "owner"}
    assert (await admin.sends("POST", "/api/v1/members", json=new)).status_code == 403
    assert (await owner.sends("POST", "/api/v1/members", json=new)).status_code == 201


async def test_the_last_owner_stays(acme: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    own = f"/api/v1/members/{owner.session['member']['id']}"
    assert (await owner.sends("DELETE", own)).json()["code"] == "last_owner"
    assert (await owner.sends("PATCH", own, json={"role": "admin"})).json()["code"] == "last_owner"
    await acme.hire(Role.OWNER, "second")
    assert (await owner.sends("PATCH", own, json={"role": "admin"})).json()["role"] == "admin"
    # It holds from the next request on, within the same session.
    again = {"email": "third@acme.example", "role": "owner"}
    assert (await owner.sends("POST", "/api/v1/members", json=again)).status_code == 403


async def test_whoever_is_removed_is_out_at_once(acme: Office) -> None:
    owner, agent = await acme.enters(Role.OWNER), await acme.enters(Role.AGENT)
    path = f"/api/v1/members/{agent.session['member']['id']}"
    assert (await owner.sends("DELETE", path)).status_code == 204
    assert (await agent.sends("GET", "/api/v1/session")).status_code == 401
    assert (await owner.sends("DELETE", path)).status_code == 404


async def test_whoever_leaves_leaves_no_customer_behind(acme: Office) -> None:
    owner, agent = await acme.enters(Role.OWNER), await acme.enters(Role.AGENT)
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        channel = await channels.create(scope, "webchat", "Shop")
        talk = await conversations.receive(scope, Inbound(channel.id, "visitor-1", "m-1", "Hello?"))
    path = f"/api/v1/conversations/{talk.conversation_id}"
    said = await agent.sends("POST", f"{path}/reply", json={"text": "One moment."})
    assert (said.status_code, said.json()["author"]) == (201, "agent")
    assert (await owner.sends("GET", path)).json()["state"] == "assigned"
    gone = await owner.sends("DELETE", f"/api/v1/members/{agent.session['member']['id']}")
    assert gone.status_code == 204, gone.text
    after = (await owner.sends("GET", path)).json()
    assert (after["state"], after["owner_id"]) == ("waiting", None)


async def test_conversations_are_read_and_worked_on(acme: Office, rival: Office) -> None:
    agent, viewer, stranger = (
        await acme.enters(Role.AGENT),
        await acme.enters(Role.VIEWER),
        await rival.enters(Role.AGENT),
    )
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        channel = await channels.create(scope, "webchat", "Shop")
        for number in range(3):
            inbound = Inbound(channel.id, f"visitor-{number}", f"m-{number}", f"Question {number}")
            talk = await conversations.receive(scope, inbound)
    listed: list[str] = []
    query = "limit=2"
    while query:
        part = (await viewer.sends("GET", f"/api/v1/conversations?{query}")).json()
        listed += [one["last_text"] for one in part["items"]]
        query = f"limit=2&cursor={part['next_cursor']}" if part["next_cursor"] else ""
    assert sorted(listed) == ["Question 0", "Question 1", "Question 2"]
    path = f"/api/v1/conversations/{talk.conversation_id}"
    steps: list[tuple[str, str, Any]] = [
        ("GET", "", None), ("GET", "/messages", None), ("POST", "/hand-off", {"to": None}),
        ("POST", "/release", None), ("POST", "/reply", {"text": "Hello"}), ("POST", "/close", None),
    ]  # fmt: skip
    for method, step, body in steps:
        theirs = await stranger.sends(method, path + step, json=body)
        assert theirs.status_code == 404, (method, step, theirs.text)
        ours = await agent.sends(method, path + step, json=body)
        assert ours.status_code < 300, (method, step, ours.text)
        if method == "POST":
            assert (await viewer.sends(method, path + step, json=body)).status_code == 403
    texts = [one["text"] for one in (await viewer.sends("GET", f"{path}/messages")).json()["items"]]
    assert texts[0] == "Question 2"
    assert "Hello" in texts


async def test_a_person_of_two_tenants_keeps_one_password(acme: Office, rival: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    shared = {"email": "agent@stranger.example", "role": "viewer", "password": "an attacker's choice"}
    welcome = await owner.sends("POST", "/api/v1/members", json=shared)
    assert (welcome.status_code, welcome.json()["password"]) == (201, None)
    at_rival = await rival.enters(Role.AGENT)
    assert at_rival.session["tenant"]["slug"] == "stranger"
    # Which of the two it is, they say when they sign in; a third they cannot name.
    who = {"email": "agent@stranger.example", "password": PASSWORD}
    here = await acme.client.post("/api/v1/session", json=who | {"tenant": "acme"})
    acme.client.cookies.clear()
    assert (here.json()["tenant"]["slug"], here.json()["member"]["role"]) == ("acme", "viewer")
    assert (await acme.client.post("/api/v1/session", json=who | {"tenant": "third"})).status_code == 401
    taken = {"email": "agent@stranger.example", "password": "an attacker's choice"}
    assert (await acme.client.post("/api/v1/session", json=taken)).status_code == 401


async def test_a_stranger_sees_nothing_of_another_tenant(acme: Office, rival: Office) -> None:
    owner, stranger = await acme.enters(Role.OWNER), await rival.enters(Role.OWNER)
    key = (await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY)).json()["key"]["id"]
    member = owner.session["member"]["id"]
    for method, path, body in [
        ("DELETE", f"/api/v1/api-keys/{key}", None),
        ("DELETE", f"/api/v1/members/{member}", None),
        ("PATCH", f"/api/v1/members/{member}", {"role": "viewer"}),
    ]:
        assert (await stranger.sends(method, path, json=body)).status_code == 404, path
    everyone = (await stranger.sends("GET", "/api/v1/members")).json()["items"]
    assert {one["email"].partition("@")[2] for one in everyone} == {"stranger.example"}
    assert (await stranger.sends("GET", "/api/v1/api-keys")).json()["items"] == []


async def test_a_key_lives_and_ends(acme: Office, app_db: Database) -> None:
    owner = await acme.enters(Role.OWNER)
    body = {"name": "shop", "scopes": ["account:read"], "expires_in_days": 30}
    issued = (await owner.sends("POST", "/api/v1/api-keys", json=body)).json()
    secret, key = issued["secret"], issued["key"]
    assert secret.startswith("mc_")
    assert (key["prefix"], key["last_four"]) == (secret[:8], secret[-4:])
    bearer = {"Authorization": f"Bearer {secret}"}
    assert (await acme.client.get("/api/v1/tenant", headers=bearer)).json()["slug"] == "acme"
    listed = (await owner.sends("GET", "/api/v1/api-keys")).json()["items"]
    assert listed[0]["last_used_at"] is not None
    assert secret not in str(listed)
    async with app_db.transaction(tenant=acme.tenant) as db:
        row = await db.one("SELECT * FROM api_keys")
    assert row is not None
    assert secret not in str(row)
    assert row["pepper_id"] == acme.platform.pepper.current.id
    revoked = await owner.sends("DELETE", f"/api/v1/api-keys/{key['id']}")
    assert revoked.json()["revoked_at"] is not None
    assert (await acme.client.get("/api/v1/tenant", headers=bearer)).status_code == 401


async def test_an_expired_key_is_no_key(acme: Office, app_db: Database) -> None:
    secret = await acme.key(ApiScope.ACCOUNT_READ)
    async with app_db.transaction(tenant=acme.tenant) as db:
        await db.execute("UPDATE api_keys SET expires_at = now() - interval '1 second'")
    answer = await acme.client.get("/api/v1/tenant", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


async def test_a_key_does_only_what_its_scopes_allow(acme: Office) -> None:
    bearer = {"Authorization": f"Bearer {await acme.key(ApiScope.ASK, ApiScope.ACCOUNT_WRITE)}"}
    assert (await acme.client.get("/api/v1/tenant", headers=bearer)).status_code == 403
    renamed = await acme.client.patch("/api/v1/tenant", json={"name": "By key"}, headers=bearer)
    assert renamed.json()["name"] == "By key"
    # No scope lets a key make keys, or act as a person.
    assert (await acme.client.post("/api/v1/api-keys", json=NEW_KEY, headers=bearer)).status_code == 403
    assert (await acme.client.get("/api/v1/session", headers=bearer)).status_code == 403
    new = {"email": "second@acme.example", "role": "owner"}
    assert (await acme.client.post("/api/v1/members", json=new, headers=bearer)).status_code == 403


async def test_a_key_in_the_address_is_not_taken(acme: Office) -> None:
    secret = await acme.key(ApiScope.ACCOUNT_READ)
    assert (await acme.client.get(f"/api/v1/tenant?api_key={secret}")).status_code == 401


async def test_guessing_keys_is_slowed_down(acme: Office) -> None:
    tries = [
        await acme.client.get("/api/v1/tenant", headers={"Authorization": f"Bearer mc_guess{n}"})
        for n in range(61)
    ]
    assert {answer.status_code for answer in tries[:60]} == {401}
    assert tries[60].status_code == 429
    good = {"Authorization": f"Bearer {await acme.key(ApiScope.ACCOUNT_READ)}"}
    assert (await acme.client.get("/api/v1/tenant", headers=good)).status_code == 200


async def test_privileged_actions_leave_a_trail(acme: Office, rival: Office) -> None:
    owner = await acme.enters(Role.OWNER)
    me = f"user:{owner.session['member']['id']}"
    await owner.sends("POST", "/api/v1/api-keys", json=NEW_KEY)
    await owner.sends("PATCH", "/api/v1/tenant", json={"name": "Renamed"})
    refused = await owner.sends("PATCH", f"/api/v1/members/{UUID(int=0)}", json={"role": "viewer"})
    assert refused.status_code == 404
    trail = (await owner.sends("GET", "/api/v1/audit")).json()["items"]
    assert [(one["action"], one["actor"]) for one in trail[:3]] == [
        ("tenant.renamed", me), ("api_key.created", me), ("session.began", me),
    ]  # fmt: skip
    stranger = await rival.enters(Role.OWNER)
    theirs = (await stranger.sends("GET", "/api/v1/audit")).json()["items"]
    assert "tenant.renamed" not in {one["action"] for one in theirs}


async def test_the_operator_acts_for_any_tenant_from_this_machine_only(
    acme: Office, as_environment: dict[str, str], nobody: httpx.AsyncClient, stranger: TenantId
) -> None:
    token = {"Authorization": f"Bearer {as_environment['METACHAT_CLI_TOKEN']}"}
    made = await nobody.post(
        "/api/v1/operator/tenants", json={"slug": "third", "name": "Third"}, headers=token
    )
    assert made.status_code == 201
    again = await nobody.post(
        "/api/v1/operator/tenants", json={"slug": "third", "name": "Third"}, headers=token
    )
    assert (again.status_code, again.json()["code"]) == (409, "tenant_taken")
    slugs = [
        one["slug"] for one in (await nobody.get("/api/v1/operator/tenants", headers=token)).json()["items"]
    ]
    assert set(slugs) == {"acme", "stranger", "third"}
    inside = token | {"X-Metachat-Tenant": "third"}
    owner = {"email": "boss@third.example", "role": "owner"}
    welcome = (await nobody.post("/api/v1/members", json=owner, headers=inside)).json()
    signed_in = await nobody.post(
        "/api/v1/session", json={"email": "boss@third.example", "password": welcome["password"]}
    )
    assert signed_in.status_code == 201
    nobody.cookies.clear()
    reset = {"email": "boss@third.example"}
    fresh = (await nobody.post("/api/v1/operator/password-resets", json=reset, headers=token)).json()[
        "password"
    ]
    assert fresh != welcome["password"]
    old = {"email": "boss@third.example", "password": welcome["password"]}
    assert (await nobody.post("/api/v1/session", json=old)).status_code == 401
    # Without a tenant, or with another's key, the operator's routes stay shut.
    assert (await nobody.get("/api/v1/tenant", headers=token)).status_code == 404
    key = {"Authorization": f"Bearer {await acme.key(*ApiScope)}"}
    assert (await nobody.get("/api/v1/operator/tenants", headers=key)).status_code == 401
