"""Pages of channels and of updates that nobody could use: what managers do there, and what others may not."""

import re
from dataclasses import dataclass
from uuid import UUID

import pytest
from playwright.async_api import Page
from tests.dashboard.conftest import Browser, Office
from tests.dashboard.test_in_a_browser import address, is_usable, page
from tests.hooks import meta

from metachat.domain import channels
from metachat.domain.accounts import Role
from metachat.domain.channels.whatsapp.signature import sign
from metachat.foundation.scope import open_scope

__all__ = ["address", "page"]

SECRETS = {"app_secret": "0123456789abcdef0123456789abcdef", "access_token": "EAAGm0PX4ZCpsBAsecretsecret"}
FORM = {
    "name": "Shop line",
    "phone_number_id": meta.NUMBER,
    "business_account_id": "102290129340398",
    **SECRETS,
}
NEW = "/dashboard/channels/new/whatsapp"


@dataclass
class Opened:
    """A manager with a WhatsApp channel."""

    browser: Browser
    path: str

    @property
    def id(self) -> str:
        """The channel's id."""
        return self.path.rpartition("/")[2]


async def connects(office: Office) -> Opened:
    """Connect a WhatsApp number; the page at hand is the one that shows the verify token."""
    browser = await office.enters(Role.ADMIN)
    await browser.opens(NEW)
    await browser.sends(NEW, **FORM)
    assert browser.page.status_code == 200, browser.text
    found = re.search(r'action="(/dashboard/channels/[0-9a-f-]{36})/doctor"', browser.page.text)
    assert found
    return Opened(browser, found.group(1))


async def delivers(opened: Opened, body: bytes) -> None:
    """Deliver something as Meta would."""
    headers = {"x-hub-signature-256": sign(SECRETS["app_secret"], body)}
    answer = await opened.browser.client.post(f"/hooks/whatsapp/{opened.id}", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_whatsapp_is_connected_and_its_secrets_are_shown_nowhere(acme: Office) -> None:
    opened = await connects(acme)
    token = re.search(r'id="verify">([^<]+)<', opened.browser.page.text)
    assert token
    assert f"/hooks/whatsapp/{opened.id}" in opened.browser.text
    for where in ("/dashboard/channels", opened.path):
        shown = await opened.browser.opens(where)
        assert "Shop line" in opened.browser.text
        assert not any(secret in shown.text for secret in (*SECRETS.values(), token.group(1)))
    query = {"hub.mode": "subscribe", "hub.verify_token": token.group(1), "hub.challenge": "42"}
    assert (await opened.browser.client.get(f"/hooks/whatsapp/{opened.id}", params=query)).text == "42"


async def test_a_form_that_is_wrong_says_what_and_keeps_no_secret(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens(NEW)
    await browser.sends(NEW, **{**FORM, "phone_number_id": "+385 1 555"})
    assert browser.page.status_code == 422
    assert "not a telephone number" in browser.text
    assert 'value="Shop line"' in browser.page.text
    assert SECRETS["app_secret"] not in browser.page.text
    await browser.opens("/dashboard/channels")
    assert "No channels yet" in browser.text


async def test_settings_are_changed_and_an_empty_secret_stays(acme: Office) -> None:
    opened = await connects(acme)
    await opened.browser.opens(opened.path)
    given = {
        **FORM,
        "app_secret": "",
        "access_token": "EAAanotheranother",
        "reopening_template": "we_are_back",
    }
    await opened.browser.sends(opened.path, **{**given, "reopening_language": "de"})
    assert "Saved." in opened.browser.text
    await delivers(opened, meta.webhook(meta.change(meta.value(meta.message()))))  # the app secret stayed
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        row = await scope.db.one("SELECT settings FROM channels")
        trail = await scope.db.all("SELECT action, detail FROM audit_log ORDER BY id DESC LIMIT 1")
    assert row is not None
    assert row["settings"]["reopening_template"] == {"name": "we_are_back", "language": "de"}
    assert trail[0]["detail"]["changed"] == ["access_token", "reopening_template", "name"]


async def test_a_channel_is_paused_resumed_and_given_a_new_verify_token(acme: Office) -> None:
    opened = await connects(acme)
    await opened.browser.opens(opened.path)
    await opened.browser.sends(f"{opened.path}/pause")
    assert "This channel is paused." in opened.browser.text
    await opened.browser.sends(f"{opened.path}/resume")
    assert "active again" in opened.browser.text
    await opened.browser.sends(f"{opened.path}/verify-token")
    assert "Shown only this once." in opened.browser.text


async def test_a_web_chat_is_made_and_dressed(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/channels/new/webchat")
    look = {"name": "Website", "greeting": "Hi <b>you</b>", "position": "left", "allowed_origins": "shop"}
    await browser.sends("/dashboard/channels/new/webchat", **look)
    assert browser.page.status_code == 422
    assert "no origin like" in browser.text
    await browser.sends(
        "/dashboard/channels/new/webchat", **{**look, "allowed_origins": "https://shop.example"}
    )
    assert "The chat is ready." in browser.text
    assert "data-position=" in browser.page.text
    assert "<b>you</b>" not in browser.page.text
    path = browser.page.url.path
    await browser.sends(path, **{**look, "allowed_origins": "", "own_accent": "1", "accent": "#AA0000"})
    assert "Saved." in browser.text
    assert 'value="#aa0000"' in browser.page.text


async def test_what_was_not_understood_is_seen_escaped_and_understood_again(acme: Office) -> None:
    opened = await connects(acme)
    await delivers(opened, b'{"object": "x", "entry": "<script>alert(1)</script>"}')
    await delivers(opened, b"<img src=x onerror=alert(1)>")
    shown = await opened.browser.opens("/dashboard/updates")
    assert "Understand all again" in opened.browser.text
    paths = re.findall(r'href="(/dashboard/updates/\d+)"', shown.text)
    assert len(paths) == 2
    for path in paths:
        page = await opened.browser.opens(path)
        assert "alert(1)" in opened.browser.page.text
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
    await opened.browser.sends(f"{paths[0]}/replay")
    assert "being understood again" in opened.browser.text
    reason = re.search(r'name="reason" value="([^"]+)"', opened.browser.page.text)
    assert reason
    await opened.browser.sends("/dashboard/updates/replay", reason=reason.group(1))
    assert "Being understood again: 1." in opened.browser.text
    await opened.browser.opens("/dashboard/updates")
    assert "Everything that was delivered has been understood." in opened.browser.text


async def test_a_silent_channel_is_seen_at_first_glance(acme: Office) -> None:
    opened = await connects(acme)
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        await scope.db.execute(
            "INSERT INTO findings (tenant_id, id, kind, subject, since, detail) VALUES (:tenant,"
            " gen_random_uuid(), 'channel.silent', :channel, now() - interval '3 hours', :detail)",
            tenant=acme.tenant, channel=UUID(opened.id), detail={"channel": "Shop line"},
        )  # fmt: skip
    await opened.browser.opens("/dashboard")
    assert "“Shop line” has fallen silent." in opened.browser.text
    await opened.browser.opens("/dashboard/channels")
    assert "Silent" in opened.browser.text
    await opened.browser.opens(opened.path)
    assert "This channel has fallen silent." in opened.browser.text


async def test_strangers_and_lesser_roles_see_none_of_it(acme: Office, rival: Office) -> None:
    opened = await connects(acme)
    await delivers(opened, b"not JSON")
    updates = await opened.browser.opens("/dashboard/updates")
    [update] = re.findall(r'href="(/dashboard/updates/\d+)"', updates.text)
    stranger, agent = await rival.enters(Role.OWNER), await acme.enters(Role.AGENT)
    for path in (opened.path, update):
        assert (await stranger.opens(path)).status_code == 404, path
        assert (await agent.opens(path)).status_code == 403, path
    await stranger.opens("/dashboard/channels")
    assert "Shop line" not in stranger.text
    for verb in ("pause", "resume", "verify-token", "doctor", "subscribe"):
        await stranger.opens("/dashboard/channels/new")
        assert (await stranger.sends(f"{opened.path}/{verb}")).status_code in (404, 409), verb
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        [channel] = await channels.of_tenant(scope)
    assert channel.status == "active"


@pytest.fixture
async def opened(acme: Office) -> Opened:
    """A WhatsApp channel with something that was not understood."""
    made = await connects(acme)
    await delivers(made, b'{"object": "x"}')
    return made


@pytest.mark.browser
async def test_every_page_is_usable_by_everybody(page: Page, opened: Opened) -> None:
    shown = await opened.browser.opens("/dashboard/updates")
    [update] = re.findall(r'href="(/dashboard/updates/\d+)"', shown.text)
    await page.emulate_media(reduced_motion="reduce")
    paths = [
        "/dashboard/channels", NEW, "/dashboard/channels/new", "/dashboard/channels/new/webchat", opened.path,
        "/dashboard/updates", update,
    ]  # fmt: skip
    for path in paths:
        await page.goto(path)
        await is_usable(page, path)


@pytest.mark.browser
async def test_whatsapp_is_connected_with_the_keyboard_alone(page: Page, acme: Office) -> None:
    await page.goto("/dashboard/channels")
    await page.focus("main a.button.main")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("dialog[open] a.whole")
    await page.focus("dialog a.whole")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**{NEW}")
    await page.focus("#name")
    for value in (None, FORM["phone_number_id"], FORM["business_account_id"], *SECRETS.values()):
        if value is not None:
            await page.keyboard.type(value)
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#verify")
    await is_usable(page, "console")
