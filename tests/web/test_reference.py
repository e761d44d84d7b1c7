"""The API describes itself: a document for programs, a page for people."""

import gzip

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser
from tests.web.process import Process


async def test_the_document_is_openapi_and_names_every_operation_once(nobody: httpx.AsyncClient) -> None:
    document = (await nobody.get("/api/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    operations = [one for item in document["paths"].values() for one in item.values()]
    ids = [one["operationId"] for one in operations]
    assert len(ids) == len(set(ids)) > 20
    assert {path.partition("/api/v1/")[0] for path in document["paths"]} == {""}
    tags = {tag["name"] for tag in document["tags"]}
    assert {one["tags"][0] for one in operations} == tags
    assert all("422" in one["responses"] and one["summary"] for one in operations)


async def test_the_page_shows_every_operation_from_this_house_alone(nobody: httpx.AsyncClient) -> None:
    page = await nobody.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    document = (await nobody.get("/api/openapi.json")).json()
    for path, item in document["paths"].items():
        assert f"<code>{path}</code>" in page.text
        for operation in item.values():
            assert f'id="{operation["operationId"]}"' in page.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in page.text
    # Nothing inline that the content policy would refuse, and nothing from elsewhere.
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert "://" not in page.text
    style = await nobody.get("/api/docs.css")
    assert style.headers["content-type"].startswith("text/css")
    assert len(gzip.compress(page.content)) + len(gzip.compress(style.content)) < 100_000


@pytest.mark.browser
async def test_the_page_can_be_read_by_everybody(process: Process, chromium: Browser) -> None:
    colours, anything_else = (
        {"runOnly": ["color-contrast"]},
        {"rules": {"color-contrast": {"enabled": False}}},
    )
    page = await chromium.new_page(color_scheme="light")
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    # Colours are the same at any width, and all the rest is the same in any colour.
    for width, scheme, looked_for in (
        (1280, "light", colours),
        (1280, "dark", colours),
        (390, "light", anything_else),
    ):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.goto(f"{process.address}/api/docs")
        found = (await Axe().run(page, options=looked_for | {"resultTypes": ["violations"]})).response[
            "violations"
        ]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == [], (width, scheme)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.close()
    assert [text for text in complaints if "favicon" not in text] == []
