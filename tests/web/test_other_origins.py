"""Pages of other origins may call the API when they are named, and nobody's cookies go along."""

from dataclasses import replace
from typing import Any, cast

import httpx
import pytest

from metachat.web.app import create_app
from metachat.wiring import Platform

SHOP = "https://shop.example.com"


@pytest.mark.parametrize(
    ("named", "origin", "let_in"),
    [
        ((SHOP,), SHOP, True),
        ((SHOP,), "https://shop.example.com.evil.example", False),
        ((SHOP,), "http://shop.example.com", False),
        ((), SHOP, False),
    ],
)
async def test_only_named_origins_are_let_in(
    platform: Platform, named: tuple[str, ...], origin: str, let_in: bool
) -> None:
    site = replace(platform, settings=replace(platform.settings, cors_origins=named))
    transport = httpx.ASGITransport(cast(Any, create_app(site)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        answer = await client.options("/api/v1/ask", headers=asked)
        assert (answer.headers.get("access-control-allow-origin") == origin) == let_in
        assert "access-control-allow-credentials" not in answer.headers
        answer = await client.get("/health/live", headers={"Origin": origin})
        assert (answer.headers.get("access-control-allow-origin") == origin) == let_in
