"""The page in a real Chromium, at a desk and on a phone: usable by everybody, and alive."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Request, expect
from tests.simulate.conftest import ANA, Business, Door

from metachat.simulate import Meta

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(params=list(SIZES))
async def page(
    request: pytest.FixtureRequest, chromium: Browser, meta: Meta, door: Door
) -> AsyncIterator[Page]:
    """The page, with Ana's phone on it; whatever breaks in it breaks the test."""
    meta.call("POST", "phones", {"phone": ANA, "name": "Ana"})
    broken: list[str] = []
    context = await chromium.new_context(viewport=SIZES[request.param])
    opened = await context.new_page()
    opened.set_default_timeout(10_000)
    opened.on("pageerror", lambda error: broken.append(str(error)))
    opened.on("request", lambda asked: None if _is_own(asked, meta) else broken.append(asked.url))
    await opened.goto(meta.address)
    await expect(opened.locator("#whose")).to_have_text("Ana’s phone")
    yield opened
    await context.close()
    assert not broken, "no error, and nothing from elsewhere"


def _is_own(asked: Request, meta: Meta) -> bool:
    return asked.url.startswith((meta.address, "blob:", "data:"))


async def test_a_conversation_is_alive(page: Page, meta: Meta, door: Door) -> None:
    business = Business(meta, meta.account)
    await page.get_by_label("Message", exact=True).fill("What does delivery cost?")
    await page.keyboard.press("Enter")
    mine = page.locator(".bubble.mine")
    await expect(mine).to_contain_text("What does delivery cost?")
    await expect(mine.get_by_label("delivered to the business")).to_be_visible()
    (question,) = meta.sent()
    body = {"messaging_product": "whatsapp", "status": "read", "message_id": question.id}
    path = f"/{meta.account.phone_number_id}/messages"
    business.client.post(path, json={**body, "typing_indicator": {"type": "text"}})
    await expect(page.locator("#presence")).to_have_text("typing …")
    await expect(mine.get_by_label("read by the business")).to_be_visible()
    business.says("It costs *€4.90*, says <b>our</b> price list.")
    theirs = page.locator(".bubble:not(.mine)")
    await expect(theirs.locator("strong")).to_have_text("€4.90")
    await expect(theirs).to_contain_text("<b>our</b>")
    await expect(page.locator("#presence")).to_be_empty()
    await expect(theirs.get_by_label("the business was told: read")).to_be_visible()
    await theirs.get_by_role("button", name="React or reply").click()
    await page.get_by_role("button", name="React with ❤️").click()
    await expect(theirs.locator(".reactions")).to_have_text("❤️")
    assert meta.sent()[-1].body == {"message_id": meta.arrivals()[-1].id, "emoji": "❤️"}


async def test_pictures_voices_and_places_are_sent(page: Page, meta: Meta, door: Door) -> None:
    async def attaches(what: str) -> None:
        if await page.locator("#attachments").is_hidden():
            await page.get_by_role("button", name="Attach").click()
        await page.get_by_role("button", name=what, exact=True).click()

    await attaches("Sample picture")
    await expect(page.locator(".bubble.mine img")).to_be_visible()
    await attaches("Location")
    await expect(page.locator(".bubble.mine").last).to_contain_text("Schlossberg")
    await attaches("Voice note")
    await page.wait_for_timeout(300)  # a voice note lasts
    await page.get_by_role("button", name="Stop and send").click()
    await expect(page.locator(".bubble.mine audio")).to_be_visible()
    meta.until(lambda: len(door.messages()) == 3)
    kinds = {message["type"]: message for message in door.messages()}
    assert kinds.keys() == {"image", "location", "audio"}
    assert kinds["audio"]["audio"]["voice"] is True


async def test_choices_are_tapped(page: Page, meta: Meta, door: Door) -> None:
    business = Business(meta, meta.account)
    meta.says(ANA, "Hello")
    buttons = [{"type": "reply", "reply": {"id": name, "title": name}} for name in ("Yes", "No")]
    rows = [{"id": "1", "title": "Tent"}, {"id": "2", "title": "Boots", "description": "size 42"}]
    for kind, action in (
        ("button", {"buttons": buttons}),
        ("list", {"button": "My orders", "sections": [{"title": "Orders", "rows": rows}]}),
    ):
        given = {"type": kind, "body": {"text": f"A {kind}"}, "action": action}
        assert business.sends(type="interactive", interactive=given).status_code == 200
    await page.get_by_role("button", name="Yes", exact=True).click()
    await expect(page.locator(".bubble.mine").last).to_contain_text("Yes")
    await page.get_by_role("button", name="My orders").click()
    await page.get_by_role("button", name="Boots size 42").click()
    await expect(page.locator(".bubble.mine").last).to_contain_text("Boots")
    replies = [item.body for item in meta.sent()[1:]]
    assert replies[0]["button_reply"]["id"] == "Yes"
    assert replies[1]["list_reply"] == {"id": "2", "title": "Boots", "description": "size 42"}


async def test_phones_are_added_and_trouble_is_made(page: Page, meta: Meta, door: Door) -> None:
    small = await page.locator("#to-people").is_visible()
    if small:
        await page.get_by_role("button", name="Phones").click()
    await page.get_by_role("textbox", name="Number").fill("+43 664 1234567")
    await page.get_by_role("textbox", name="Name").fill("Jonas")
    await page.locator("#add").get_by_role("button", name="Add").click()
    await expect(page.locator("#whose")).to_have_text("Jonas’s phone")
    if small:
        await page.get_by_role("button", name="Misbehaviour").click()
    await page.get_by_label("What goes wrong").select_option("cut_after:0")
    await page.get_by_label("How often").select_option("3")
    await page.locator("#trouble").get_by_role("button", name="Add").click()
    await expect(page.locator("#rules")).to_have_text("cut after acceptance – 3 more")
    await page.get_by_label("Hold all of them back").check()
    await expect(page.locator("#rules li")).to_be_visible()
    meta.until(lambda: meta.state()["weather"]["withheld"])
    (rule,) = meta.state()["rules"]
    assert (rule["kind"], rule["times"]) == ("cut_after", 3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(page: Page, meta: Meta, door: Door, scheme: Any) -> None:
    business = Business(meta, meta.account)
    question = meta.says(ANA, "Where is my tent?")
    business.says("On its way.", context={"message_id": question.id})
    meta.says(ANA, type="reaction", message=meta.arrivals()[0].id, emoji="👍")
    await page.emulate_media(color_scheme=scheme)
    await expect(page.locator(".bubble")).to_have_count(2)
    await page.wait_for_timeout(300)  # what rises into view is transparent until it is there
    results = await Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide, "nothing is wider than the window"
