"""The proxy asks who may see the metrics: whoever brings their token, and nobody without it."""

import secrets
from typing import Any, cast

import httpx
import pytest

from metachat.domain.accounts.sessions import PER_ADDRESS
from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.wiring import open_platform

TOKEN = secrets.token_urlsafe(32)
DOOR = "/auth/operator"


@pytest.fixture
def as_environment(as_environment: dict[str, str]) -> dict[str, str]:
    """The environment of a site whose metrics may be read from elsewhere."""
    return as_environment | {"METACHAT_METRICS_TOKEN": TOKEN}


def bearing(token: str) -> dict[str, str]:
    """The headers of who brings a token."""
    return {"Authorization": f"Bearer {token}"}


async def test_the_token_opens_and_nothing_else_does(
    nobody: httpx.AsyncClient, as_environment: dict[str, str]
) -> None:
    opened = await nobody.get(DOOR, headers=bearing(TOKEN))
    assert (opened.status_code, opened.content) == (204, b"")
    basic = {"Authorization": f"Basic {TOKEN}"}
    refused = [{}, basic, bearing(TOKEN[:-1]), bearing(f"{TOKEN}x"), bearing("wrong"), bearing("")]
    # What lets in elsewhere does not here.
    refused += [bearing(as_environment["METACHAT_CLI_TOKEN"])]
    for headers in refused:
        answer = await nobody.get(DOOR, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text


async def test_the_token_opens_nothing_besides(nobody: httpx.AsyncClient) -> None:
    for path in ("/api/v1/operator/tenants", "/api/v1/tenant"):
        assert (await nobody.get(path, headers=bearing(TOKEN))).status_code == 401
    elsewhere = bearing(TOKEN) | {"X-Forwarded-For": "203.0.113.9"}
    assert (await nobody.get("/metrics", headers=elsewhere)).status_code == 404


async def test_without_a_token_of_ours_none_is_right(as_environment: dict[str, str]) -> None:
    del as_environment["METACHAT_METRICS_TOKEN"]
    async with open_platform(load(as_environment, "api"), "api") as platform:
        transport = httpx.ASGITransport(cast(Any, create_app(platform)))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            for token in ("", "None", TOKEN):
                assert (await client.get(DOOR, headers=bearing(token))).status_code == 401


async def test_guesses_count_as_tries_to_sign_in_and_right_tokens_do_not(nobody: httpx.AsyncClient) -> None:
    for _ in range(PER_ADDRESS.tries + 5):
        assert (await nobody.get(DOOR, headers=bearing(TOKEN))).status_code == 204
        assert (await nobody.get(DOOR)).status_code == 401  # who brings none guesses none
    guesses = [
        (await nobody.get(DOOR, headers=bearing(f"guess {number}"))).status_code
        for number in range(PER_ADDRESS.tries + 2)
    ]
    assert guesses == [401] * PER_ADDRESS.tries + [429] * 2
    who = {"email": "owner@acme.example", "password": "correct horse battery"}
    assert (await nobody.post("/api/v1/session", json=who)).status_code == 429
    assert (await nobody.get(DOOR, headers=bearing(TOKEN))).status_code == 204


async def test_the_document_of_the_api_does_not_name_it(nobody: httpx.AsyncClient) -> None:
    document = await nobody.get("/api/openapi.json")
    assert document.status_code == 200
    assert "/api/v1/session" in document.text
    assert "/auth/operator" not in document.text
