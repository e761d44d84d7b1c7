"""Stories of API keys, members and the assistant on the pages."""

import re

import pytest
from tests.dashboard.conftest import Browser, Office

from metachat.domain import accounts, assistant
from metachat.domain.accounts import Role
from metachat.foundation.scope import open_scope


def shown_secret(browser: Browser) -> str:
    """The secret that a page shows this once."""
    found = re.search(r'<code id="secret">([^<]+)</code>', browser.page.text)
    assert found, browser.text
    return found.group(1)


async def test_a_key_is_made_shown_once_used_and_revoked(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/keys")
    assert "No API keys yet" in browser.text
    await browser.opens("/dashboard/keys/new")
    await browser.sends("/dashboard/keys", name="Nightly", scopes=["account:read", "ask"], days="30")
    secret = shown_secret(browser)
    bearer = {"Authorization": f"Bearer {secret}", "Accept": "application/json"}
    assert (await acme.browser().client.get("/api/v1/tenant", headers=bearer)).status_code == 200

    page = await browser.opens("/dashboard/keys")
    assert "Nightly" in browser.text
    assert "Active" in browser.text
    assert secret not in page.text
    revoke = re.search(r'href="(/dashboard/keys/[^"]+/revoke)"', page.text)
    assert revoke
    await browser.opens(revoke.group(1))
    await browser.sends(revoke.group(1))
    assert "The key “Nightly” is revoked." in browser.text
    assert (await acme.browser().client.get("/api/v1/tenant", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": "x", "days": "30"}, "Choose at least one thing"),
        ({"name": "x", "scopes": "ask", "days": "-1"}, "Choose when the key expires"),
        ({"name": "x", "scopes": "everything", "days": "30"}, "Choose at least one thing"),
    ],
)
async def test_a_key_form_that_is_wrong_says_what(acme: Office, given: dict[str, str], said: str) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/keys/new")
    await browser.sends("/dashboard/keys", **given)
    assert browser.page.status_code == 422
    assert said in browser.text
    assert 'value="x"' in browser.page.text


async def test_a_stranger_cannot_revoke_a_key(acme: Office, rival: Office) -> None:
    browser, stranger = await acme.enters(Role.ADMIN), await rival.enters(Role.OWNER)
    await browser.opens("/dashboard/keys/new")
    await browser.sends("/dashboard/keys", name="Nightly", scopes="ask", days="")
    page = await browser.opens("/dashboard/keys")
    revoke = re.search(r'href="(/dashboard/keys/[^"]+/revoke)"', page.text)
    assert revoke
    assert (await stranger.opens(revoke.group(1))).status_code == 404
    await stranger.opens("/dashboard/keys")
    assert (await stranger.sends(revoke.group(1))).status_code == 404
    await browser.opens("/dashboard/keys")
    assert "Revoked" not in browser.text


async def test_a_member_is_added_promoted_and_removed(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    await browser.opens("/dashboard/members/new")
    await browser.sends("/dashboard/members", name="Ana", email="Ana@acme.example", role="viewer")
    password = shown_secret(browser)
    ana = acme.browser()
    await ana.opens("/sign-in")
    await ana.sends("/sign-in", email="ana@acme.example", password=password)
    assert ana.page.url.path == "/dashboard"

    page = await browser.opens("/dashboard/members")
    [id] = [
        found
        for found in re.findall(r"/dashboard/members/([0-9a-f-]{36})/remove", page.text)
        if "Ana" in page.text.split(f"role-{found}")[0][-600:]
    ]
    await browser.sends(f"/dashboard/members/{id}/role", role="admin")
    assert "Ana is now Admin." in browser.text
    assert (await ana.opens("/dashboard/keys")).status_code == 200
    await browser.opens(f"/dashboard/members/{id}/remove")
    await browser.sends(f"/dashboard/members/{id}/remove")
    assert "Ana is removed." in browser.text
    await ana.opens("/dashboard")
    assert ana.page.url.path == "/sign-in"


async def test_the_last_owner_stays(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        members = await accounts.list_members(scope, limit=10)
    owner = next(member for member in members if member.role is Role.OWNER)
    await browser.opens("/dashboard/members")
    await browser.sends(f"/dashboard/members/{owner.id}/role", role="viewer")
    assert "A tenant keeps at least one owner" in browser.text
    await browser.sends(f"/dashboard/members/{owner.id}/remove")
    assert "A tenant keeps at least one owner" in browser.text


async def test_nobody_gives_a_role_above_their_own(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/members/new")
    assert "Everything, including other owners." not in browser.text
    await browser.sends("/dashboard/members", name="Sly", email="sly@acme.example", role="owner")
    assert browser.page.status_code == 403
    await browser.opens("/dashboard/members")
    assert "sly@acme.example" not in browser.text


async def test_a_member_form_that_is_wrong_keeps_what_was_written(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    await browser.opens("/dashboard/members/new")
    await browser.sends("/dashboard/members", name="Ana", email="agent@acme.example", role="viewer")
    assert "This person already is a member." in browser.text
    await browser.sends("/dashboard/members", name="Ana", email="ana", role="viewer")
    assert "The e-mail address is not valid" in browser.text
    await browser.sends(
        "/dashboard/members", name="Ana", email="a@b.example", role="viewer", password="short"
    )
    assert "at least 10 characters" in browser.text
    assert 'value="Ana"' in browser.page.text


@pytest.mark.parametrize("role", [Role.AGENT, Role.VIEWER])
async def test_members_and_keys_are_for_managers(acme: Office, role: Role) -> None:
    browser = await acme.enters(role)
    for path, fields in (
        ("/dashboard/members", {"name": "x", "email": "x@acme.example", "role": "viewer"}),
        ("/dashboard/keys", {"name": "x", "scopes": "ask", "days": "30"}),
        ("/dashboard/assistant", {"tone": "casual", "provider": "extractive"}),
    ):
        await browser.opens("/dashboard")
        assert (await browser.sends(path, **fields)).status_code == 403, path


async def test_the_assistant_is_set_and_its_key_stays_secret(acme: Office) -> None:
    browser, form = await acme.enters(Role.ADMIN), {"tone": "formal", "provider": "openai"}
    await browser.opens("/dashboard/assistant")
    await browser.sends("/dashboard/assistant", **form, brand_name="Acme")
    assert "Name the model" in browser.text
    await browser.sends("/dashboard/assistant", **form, model="small", api_key="sk-very-secret")
    assert "Saved." in browser.text
    page = await browser.opens("/dashboard/assistant")
    assert "A key is stored." in browser.text
    assert "very-secret" not in page.text
    # The stored key never follows to another address.
    await browser.sends("/dashboard/assistant", **form, model="small", base_url="https://evil.example")
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        profile = await assistant.profile(scope, acme.platform.encryption_key)
    assert (profile.tone, profile.model, profile.base_url) == ("formal", "small", "https://evil.example")
    assert profile.api_key is None
