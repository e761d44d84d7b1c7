"""Channels over the API: opened, changed, paused; secrets go in and never come out; strangers see nothing."""

from typing import Any

import pytest
from tests.web.conftest import Office, Person

from metachat.domain.accounts import ApiScope, Role

SECRETS = {"app_secret": "0123456789abcdef0123456789abcdef", "access_token": "EAAGm0PX4ZCpsBAsecretsecret"}
WHATSAPP = {"phone_number_id": "106540352242922", "business_account_id": "102290129340398", **SECRETS}
NEW = {"kind": "whatsapp", "name": "Shop line", "whatsapp": WHATSAPP}


async def opens(person: Person, body: dict[str, Any] = NEW) -> dict[str, Any]:
    """Open a channel."""
    answer = await person.sends("POST", "/api/v1/channels", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_whatsapp_channel_is_opened_and_its_secrets_never_come_back(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    made = await opens(admin)
    id, token = made["channel"]["id"], made["verify_token"]
    assert made["channel"]["whatsapp"]["callback_url"].endswith(f"/hooks/whatsapp/{id}")
    shown = await admin.sends("GET", f"/api/v1/channels/{id}")
    listed = await admin.sends("GET", "/api/v1/channels")
    for answer in (shown, listed):
        for secret in (*SECRETS.values(), token):
            assert secret not in answer.text
    about = shown.json()["whatsapp"]
    assert {name: about[name]["set"] for name in (*SECRETS, "verify_token")} == dict.fromkeys(
        (*SECRETS, "verify_token"), True
    )
    # The door believes the token that was shown.
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "42"}
    greeted = await acme.client.get(f"/hooks/whatsapp/{id}", params=query)
    assert (greeted.status_code, greeted.text) == (200, "42")
    trail = (await admin.sends("GET", "/api/v1/audit")).json()["items"]
    assert trail[0]["action"] == "channel.opened"
    assert not any(secret in str(trail) for secret in (*SECRETS.values(), token))


async def test_a_secret_is_rotated_and_only_its_fingerprint_shows_it(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    before = (await opens(admin))["channel"]
    path = f"/api/v1/channels/{before['id']}"
    new = {"whatsapp": {"access_token": "EAAnewnewnewnew"}}
    after = (await admin.sends("PATCH", path, json=new)).json()
    fingerprints = [one["whatsapp"]["access_token"]["fingerprint"] for one in (before, after)]
    assert fingerprints[0] != fingerprints[1]
    assert after["whatsapp"]["app_secret"] == before["whatsapp"]["app_secret"]
    trail = (await admin.sends("GET", "/api/v1/audit")).json()["items"]
    assert (trail[0]["action"], trail[0]["detail"]) == ("channel.changed", {"changed": ["access_token"]})
    assert "EAAnew" not in str(trail)

    renewed = (await admin.sends("POST", f"{path}/verify-token")).json()
    assert len(renewed["verify_token"]) > 20
    again = (await admin.sends("GET", path)).text
    assert renewed["verify_token"] not in again


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**NEW, "whatsapp": {**WHATSAPP, "app_secret": ""}}, 422),
        ({**NEW, "whatsapp": {**WHATSAPP, "phone_number_id": "+385 1 5550000"}}, 422),
        ({**NEW, "whatsapp": {"phone_number_id": "106540352242922"}}, 422),
        ({**NEW, "webchat": {"title": "x"}}, 409),
        ({"kind": "webchat", "name": "x", "webchat": {"accent": "red"}}, 422),
        ({"kind": "webchat", "name": "x", "webchat": {"allowed_origins": ["shop.example/path"]}}, 422),
        ({"kind": "telegram", "name": "x"}, 422),
    ],
)
async def test_what_makes_no_channel_opens_none(acme: Office, body: dict[str, Any], status: int) -> None:
    admin = await acme.enters(Role.ADMIN)
    answer = await admin.sends("POST", "/api/v1/channels", json=body)
    assert answer.status_code == status, answer.text
    assert (await admin.sends("GET", "/api/v1/channels")).json()["items"] == []


async def test_a_web_chat_is_dressed(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    look = {
        "greeting": "Hi!",
        "accent": "#AA0000",
        "position": "left",
        "allowed_origins": ["https://Shop.example:443/"],
    }
    made = (await opens(admin, {"kind": "webchat", "name": "Website", "webchat": look}))["channel"]
    assert made["webchat"]["allowed_origins"] == ["https://shop.example"]
    assert 'data-position="left"' in made["webchat"]["snippet"]
    path = f"/api/v1/channels/{made['id']}"
    changed = (await admin.sends("PATCH", path, json={"webchat": {"greeting": "Welcome"}})).json()
    assert (changed["webchat"]["greeting"], changed["webchat"]["accent"]) == ("Welcome", "#aa0000")
    seen = await acme.client.get(f"/chat/{made['id']}/look", headers={"origin": "https://shop.example"})
    assert seen.json()["greeting"] == "Welcome"
    refused = await admin.sends("PATCH", path, json={"whatsapp": {"access_token": "EAAnewnewnewnew"}})
    assert (refused.status_code, refused.json()["code"]) == (409, "wrong_channel_kind")


async def test_pausing_and_resuming_over_the_api(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    path = f"/api/v1/channels/{(await opens(admin))['channel']['id']}"
    assert (await admin.sends("POST", f"{path}/pause")).json()["status"] == "paused"
    assert (await admin.sends("POST", f"{path}/resume")).json()["status"] == "active"


async def test_strangers_and_lesser_roles_are_kept_out(acme: Office, rival: Office) -> None:
    admin, agent, stranger = (
        await acme.enters(Role.ADMIN),
        await acme.enters(Role.AGENT),
        await rival.enters(Role.OWNER),
    )
    path = f"/api/v1/channels/{(await opens(admin))['channel']['id']}"
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None), ("PATCH", path, {"name": "Mine"}), ("POST", f"{path}/pause", None),
        ("POST", f"{path}/resume", None), ("POST", f"{path}/verify-token", None),
        ("POST", f"{path}/test", {"to": "385911234567"}), ("POST", f"{path}/diagnose", None),
        ("POST", f"{path}/subscribe", None),
    ]  # fmt: skip
    for method, where, body in calls:
        assert (await stranger.sends(method, where, json=body)).status_code == 404, where
        assert (await agent.sends(method, where, json=body)).status_code == 403, where
        assert (await acme.client.request(method, where, json=body)).status_code == 401, where
    assert (await stranger.sends("GET", "/api/v1/channels")).json()["items"] == []
    reading = {"Authorization": f"Bearer {await acme.key(ApiScope.CHANNELS_READ)}"}
    assert (await acme.client.get(path, headers=reading)).status_code == 200
    assert (await acme.client.patch(path, json={"name": "x"}, headers=reading)).status_code == 403


async def test_a_web_chat_has_nothing_to_test(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    made = (await opens(admin, {"kind": "webchat", "name": "Website"}))["channel"]
    path = f"/api/v1/channels/{made['id']}"
    answer = await admin.sends("POST", f"{path}/test", json={"to": "385911234567"})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_test")
    checks = (await admin.sends("POST", f"{path}/diagnose")).json()
    assert [(one["check"], one["passed"]) for one in checks["checks"]] == [
        ("channel is active", True), ("only your pages may hold the chat", False),
    ]  # fmt: skip
