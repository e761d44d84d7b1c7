"""What the team sees of a conversation in a real Chromium, on a desk and on a phone."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Page
from tests.dashboard.conftest import Office, acme, platform, rival
from tests.dashboard.test_in_a_browser import address, is_usable, page
from tests.media.conftest import PNG
from tests.media.gallery import fill

from metachat.domain import accounts
from metachat.domain.accounts import Role
from metachat.foundation.scope import open_scope

__all__ = ["acme", "address", "page", "platform", "rival"]
pytestmark = pytest.mark.browser
# Where to put pictures of the pages, for somebody to look at.
PICTURES = os.environ.get("METACHAT_PICTURES")


async def owner(office: Office) -> accounts.Member:
    """The owner of the office, who is signed in."""
    async with open_scope(office.platform.database, office.tenant, actor="test") as scope:
        members = await accounts.list_members(scope, limit=10)
    return next(member for member in members if member.role is Role.OWNER)


async def test_everything_that_a_customer_sends_is_shown(acme: Office, page: Page) -> None:
    talk = await fill(acme, (await owner(acme)).id)
    await page.goto(f"/dashboard/conversations/{talk}")
    shown = await page.inner_text(".talk")
    for words in (
        "Came from an ad", "Two nights in the Gorski kotar", "45.813000, 15.977000", "openstreetmap.org",
        "Ivo Horvat", "+385 91 765 4321", "2.4 kg, green", "2 × tent-2p · 199 EUR", "poll_creation",
        "Message type is currently not supported. (131051)", "edited", "The customer deleted this message.",
        "The file is a program.", "Being fetched.", "Here is your receipt.", "receipt-2026.pdf",
        "When does it arrive?", "👍",
    ):  # fmt: skip
        assert words in shown, words
    assert "1234" not in await page.content()
    await page.locator(".picture img").first.scroll_into_view_if_needed()
    await page.wait_for_function("document.querySelector('.picture img').naturalWidth === 64")
    assert await page.locator(".talk audio").count() == 1
    assert await page.locator(".talk a[href*='openstreetmap']").count() == 0
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        await page.goto(f"/dashboard/conversations/{talk}")
        if PICTURES:
            assert page.viewport_size is not None
            name = f"{page.viewport_size['width']}-{scheme}.png"
            await page.evaluate("document.querySelector('.desk').style.maxHeight = 'none'")
            await page.evaluate("document.querySelector('.desk').style.height = 'auto'")
            await page.screenshot(path=Path(PICTURES) / name, full_page=True)
        await is_usable(page, f"gallery {scheme}")


async def test_a_file_is_chosen_and_sent(acme: Office, page: Page) -> None:
    talk = await fill(acme, (await owner(acme)).id)
    await page.goto(f"/dashboard/conversations/{talk}")
    await page.set_input_files(".clip input", {"name": "offer.png", "mimeType": "image/png", "buffer": PNG})
    await page.wait_for_selector("#picked:has-text('offer.png')")
    await page.fill("#text", "Like this?")
    await page.click("#reply button[type=submit]")
    await page.wait_for_selector("text=Like this?")
    assert await page.locator(".bubble.agent img").count() == 1
    program = {"name": "x.pdf", "mimeType": "application/pdf", "buffer": b"MZ"}
    await page.set_input_files(".clip input", program)
    await page.click("#reply button[type=submit]")
    await page.wait_for_selector("text=The file is a program")
