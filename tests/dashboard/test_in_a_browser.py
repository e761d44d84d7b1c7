"""The pages in a real Chromium: usable by everybody, light to load, alive."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page
from tests.dashboard.conftest import PASSWORD, Office
from tests.dashboard.test_conversation_pages import is_answered, writes, writes_again

from metachat.web.app import create_app

pytestmark = pytest.mark.browser

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
PAGES = [
    "/dashboard", "/dashboard/knowledge", "/dashboard/chat", "/dashboard/conversations",
    "/dashboard/keys", "/dashboard/keys/new", "/dashboard/members", "/dashboard/members/new",
    "/dashboard/assistant", "/dashboard/account", "/dashboard/nothing",
]  # fmt: skip
FIRST_LOAD = 100 * 1024


@pytest.fixture
async def address(acme: Office) -> AsyncIterator[str]:
    """The application behind a real socket."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        create_app(acme.platform), lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture(params=list(SIZES))
async def page(request: pytest.FixtureRequest, chromium: Chromium, address: str) -> AsyncIterator[Page]:
    """A page in which the owner is signed in, at two sizes; whatever it complains of fails the test."""
    size = SIZES[request.param]
    context = await chromium.new_context(viewport=size, base_url=address, timezone_id="Europe/Vienna")
    page, complaints = await signed_in(context), list[str]()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    await context.close()
    expected = "the server responded with a status of 4"  # pages of refusals are pages too
    assert [text for text in complaints if expected not in text] == []


async def signed_in(context: BrowserContext) -> Page:
    """Sign the owner in."""
    page = await context.new_page()
    await page.goto("/sign-in")
    await page.fill("#email", "owner@acme.example")
    await page.fill("#password", PASSWORD)
    await page.click("button[type=submit]")
    await page.wait_for_url("**/dashboard")
    return page


async def is_usable(page: Page, where: str) -> None:
    """Nothing serious stands in the way of people with assistive technology, and nothing sticks out."""
    result = await Axe().run(page)
    serious = [
        (found["id"], [node["html"][:150] for node in found["nodes"]])
        for found in result.response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == [], where
    sticks_out = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert sticks_out <= 0, where


async def test_every_page_is_usable_by_everybody(acme: Office, page: Page) -> None:
    id = await writes(acme, "How long does delivery take?")
    await is_answered(acme, id, "Three days [1].")
    narrow = page.viewport_size == SIZES["phone"]  # colours are the same at any size
    for scheme in ("light",) if narrow else ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for path in (*PAGES, f"/dashboard/conversations/{id}", f"/dashboard/conversations/{id}/close"):
            await page.goto(path)
            await is_usable(page, f"{path} {scheme}")
    await page.context.clear_cookies()
    await page.goto("/sign-in")
    await is_usable(page, "/sign-in")


async def test_dialogs_are_usable_and_closed_by_escape(page: Page) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await page.goto("/dashboard/members")
    await page.click("text=Add member")
    await page.wait_for_selector("dialog[open] form")
    assert await page.evaluate("document.activeElement.id") == "name"
    await is_usable(page, "dialog")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog[open]", state="detached")
    assert page.url.endswith("/dashboard/members")


async def test_a_first_load_is_light(chromium: Chromium, address: str) -> None:
    context = await chromium.new_context(base_url=address)
    page = await signed_in(context)
    for path in PAGES[:-1]:
        answer = await page.goto(path)
        assert answer is not None
        loaded = {path: packed((await answer.text()).encode())}
        names = await page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
        for name in names:
            if not name.endswith("/events"):
                loaded[name] = packed(await (await context.request.get(name)).body())
        assert sum(loaded.values()) <= FIRST_LOAD, loaded
    await context.close()


def packed(body: bytes) -> int:
    """Bytes of a body when compressed."""
    return len(gzip.compress(body, 9))


@pytest.mark.usefixtures("worker")
async def test_a_document_is_uploaded_read_and_answers_with_its_passage(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "delivery.md"
    file.write_text("# Delivery\n\nDelivery to Austria takes 2 to 3 working days and costs 4.90 euros.\n")
    await page.goto("/dashboard/knowledge")
    await page.set_input_files("#files", file)
    await page.wait_for_selector(
        "#documents .what:has-text('passage') a:has-text('delivery.md')", timeout=30_000
    )
    await is_usable(page, "a list of documents")

    await page.goto("/dashboard/chat")
    await page.fill("#text", "How long does delivery to Austria take?")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("a.source", timeout=30_000)
    assert "2 to 3 working days" in await page.inner_text("#talk")
    await is_usable(page, "the test chat")
    await page.click("a.source")
    await page.wait_for_selector("dialog[open] mark")
    assert "2 to 3 working days" in await page.inner_text("dialog")

    await page.reload()
    await page.wait_for_selector("a.source")
    assert "How long does delivery to Austria take?" in await page.inner_text("#talk")


async def test_what_a_file_lacks_is_said_beside_it(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "report.docx"
    file.write_text("just text")
    await page.goto("/dashboard/knowledge")
    await page.set_input_files("#files", file)
    await page.wait_for_selector("#uploads .wrong")
    assert "not what its extension says" in await page.inner_text("#uploads")
    await is_usable(page, "a failed upload")


async def test_an_open_inbox_follows_what_happens(acme: Office, page: Page) -> None:
    await page.goto("/dashboard/conversations")
    await page.wait_for_selector("text=No conversations yet")
    await writes(acme, "A new question", name="Nora")
    await page.wait_for_selector("text=Nora", timeout=10_000)


async def test_a_reply_in_the_making_survives_what_the_customer_writes(acme: Office, page: Page) -> None:
    id = await writes(acme, "Is anybody there?")
    await page.goto(f"/dashboard/conversations/{id}")
    await page.click("text=Take over")
    await page.fill("#reply textarea", "Yes, I am just look")
    await writes_again(acme, id, "Please hurry")
    await page.wait_for_selector("text=Please hurry", timeout=10_000)
    assert await page.input_value("#reply textarea") == "Yes, I am just look"
    await page.keyboard.type("ing it up.")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("article.agent:has-text('Yes, I am just looking it up.')")
