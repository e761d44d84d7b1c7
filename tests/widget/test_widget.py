"""The widget on a shop's page: by keyboard, read aloud, alive after reloads and dead networks."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect
from tests.chat import house
from tests.widget.conftest import Open, Site

pytestmark = pytest.mark.browser

QUESTION = "How long does delivery to Austria take?"


async def ask(page: Page, text: str) -> None:
    """Type a question and send it."""
    await page.locator("textarea").fill(text)
    await page.keyboard.press("Enter")


async def test_a_question_by_keyboard_is_answered_with_sources(shop: Open, worker: Any) -> None:
    page = await shop()
    await page.keyboard.press("Tab")  # the shop's own button
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Chat with us")).to_be_visible()
    await expect(page.get_by_label("Your message")).to_be_focused()
    await page.keyboard.type(QUESTION)
    await page.keyboard.press("Enter")
    answer = page.locator(".message.assistant")
    await expect(answer).to_contain_text("Delivery to Austria takes two working days 1.")
    chip = answer.get_by_role("button", name="Source 1: shipping.md, Delivery").first
    await chip.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Back to the chat")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(chip).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Open chat")).to_be_focused()
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_the_answer_is_seen_while_it_is_written_and_read_aloud_once(
    shop: Open, worker: Any, scripted: house.Scripted
) -> None:
    scripted.pause = 0.6
    page = await shop()
    await page.locator("#ask").click()
    draft = page.locator(".message[aria-hidden=true]")
    await expect(draft).to_contain_text("Delivery to Austria takes two working days")
    log = page.get_by_role("log")
    assert await log.get_attribute("aria-live") == "polite"
    await expect(log).not_to_contain_text("two working days")
    await expect(log).to_contain_text("The warranty lasts five years")
    await expect(draft).to_be_hidden()


async def test_a_citation_shows_its_passage_with_the_quote_marked(shop: Open, worker: Any) -> None:
    page = await shop()
    passage = {
        "document": "shipping.md", "page": None, "heading": "Delivery", "quote": house.FACTS[0],
        "text": "Before.\n" + house.FACTS[0].replace("takes two", "takes\ntwo") + "\nAfter.",
    }  # fmt: skip
    await page.route(
        "**/passages/*",
        lambda route: route.fulfill(json=passage, headers={"Access-Control-Allow-Origin": "*"}),
    )
    await page.locator("#ask").click()
    await page.locator("button.cite").first.click()
    await expect(page.locator("mark")).to_have_text("Delivery to Austria takes\ntwo working days.")
    await expect(page.locator(".passage .text")).to_contain_text("After.")


async def test_the_conversation_survives_a_reload(shop: Open, worker: Any) -> None:
    page = await shop()
    await page.locator("#ask").click()
    await expect(page.locator(".message.assistant")).to_be_visible()
    await page.reload()
    await expect(page.locator(".message.customer")).to_have_count(1)
    await expect(page.locator(".message.assistant")).to_have_count(1)
    await ask(page, "And how long is the warranty?")
    await expect(page.locator(".message.assistant")).to_have_count(2)


async def test_what_was_written_offline_is_sent_on_return_even_after_a_reload(
    shop: Open, worker: Any, scripted: house.Scripted
) -> None:
    page = await shop()
    await page.locator("#ask").click()
    await expect(page.locator(".message.assistant")).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.get_by_text("Offline – your messages are kept and sent later")).to_be_visible()
    await ask(page, "Written in a tunnel")
    await expect(page.get_by_text("Will be sent when you are online")).to_be_visible()
    await page.context.set_offline(False)
    await expect(page.locator(".message.assistant")).to_have_count(2)
    await expect(page.locator(".message.customer")).to_have_count(2)
    await expect(page.locator(".pending")).to_have_count(0)
    assert scripted.asked[-1] == "Written in a tunnel"


async def test_a_server_in_trouble_gets_the_message_again_and_stores_it_once(
    shop: Open, worker: Any, site: tuple[Site, str], scripted: house.Scripted
) -> None:
    trouble, _ = site
    trouble.refusing = 503
    page = await shop()
    await page.locator("#ask").click()
    await expect(page.get_by_text("Will be sent when you are online")).to_be_visible()
    trouble.refusing = 0
    await expect(page.locator(".message.assistant")).to_have_count(1)
    await expect(page.locator(".message.customer")).to_have_count(1)
    assert len(scripted.asked) == 1


async def test_a_message_that_is_refused_can_be_tried_again(
    shop: Open, worker: Any, site: tuple[Site, str]
) -> None:
    trouble, _ = site
    trouble.refusing = 403
    page = await shop()
    await page.locator("#ask").click()
    await expect(page.get_by_text("Not sent")).to_be_visible()
    trouble.refusing = 0
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator(".message.assistant")).to_have_count(1)


async def test_the_button_asks_for_a_person(shop: Open, worker: Any, scripted: house.Scripted) -> None:
    page = await shop(lang="de")
    await page.get_by_role("button", name="Chat öffnen").click()
    await page.get_by_role("button", name="Mit einem Menschen sprechen").click()
    await expect(page.locator(".message.system")).to_contain_text("Ich habe eine Kollegin")
    await expect(page.get_by_text("Ein Mensch antwortet Ihnen hier")).to_be_visible()
    await expect(page.get_by_role("button", name="Mit einem Menschen sprechen")).to_be_hidden()
    await ask(page, "Sind Sie da?")
    await expect(page.locator(".pending")).to_have_count(0)
    assert scripted.asked == []


async def test_text_of_others_never_becomes_markup(shop: Open) -> None:
    page = await shop()
    await page.locator(".launcher").click()
    await ask(page, '<img src=x onerror="document.title=1"><script>document.title=2</script> **bold** [1]')
    bubble = page.locator(".message.customer .bubble")
    await expect(bubble).to_contain_text('<img src=x onerror="document.title=1">')
    assert await bubble.locator("img, script").count() == 0
    assert await page.title() == "Shop"


@pytest.mark.parametrize(
    ("lang", "label"),
    [("en", "Open chat"), ("de-AT", "Chat öffnen"), ("hr", "Otvori razgovor"), ("fr", "Open chat")],
)
async def test_it_speaks_the_page_s_language(shop: Open, lang: str, label: str) -> None:
    page = await shop(lang=lang, locale="en-GB")
    await expect(page.get_by_role("button", name=label)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_no_serious_accessibility_violation(shop: Open, worker: Any, scheme: str) -> None:
    page = await shop(color_scheme=scheme, reduced_motion="reduce")
    await page.locator("#ask").click()
    await expect(page.locator(".message.assistant")).to_be_visible()
    await page.evaluate(
        "document.querySelector('metachat-widget').shadowRoot.querySelector('.scroll').scrollTop = 0"
    )
    # axe itself needs more than the shop's policy allows, so the page's own script runs it past the policy.
    results = await Axe().run(page, context="metachat-widget")
    serious = [
        (violation["id"], [node["html"][:120] for node in violation["nodes"]])
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert serious == []


async def test_a_phone_gets_the_whole_screen_and_keeps_the_focus_inside(shop: Open, worker: Any) -> None:
    page = await shop(viewport={"width": 390, "height": 844}, has_touch=True, reduced_motion="reduce")
    await page.locator(".launcher").tap()
    box = await page.locator(".panel").bounding_box()
    assert box == {"x": 0, "y": 0, "width": 390, "height": 844}
    assert await page.locator(".panel").get_attribute("aria-modal") == "true"
    for _ in range(8):
        await page.keyboard.press("Tab")
        inside = await page.evaluate("document.activeElement.tagName === 'METACHAT-WIDGET'")
        assert inside
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_an_answer_that_comes_while_it_is_closed_is_counted(
    shop: Open, worker: Any, scripted: house.Scripted
) -> None:
    scripted.pause = 0.3
    page = await shop()
    await page.locator("#ask").click()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Open chat (1 new)")).to_be_visible()
    await page.locator(".launcher").click()
    await expect(page.locator(".badge")).to_be_hidden()


async def test_the_script_is_small_and_cached(site: tuple[Site, str]) -> None:
    _, server = site
    async with httpx.AsyncClient(base_url=server) as client:
        response = await client.get("/widget.js", headers={"Accept-Encoding": "gzip"})
        assert len(gzip.compress(response.content, 9)) <= 12_000
        assert response.headers["content-encoding"] == "gzip"
        again = await client.get("/widget.js", headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304
    await asyncio.sleep(0)
