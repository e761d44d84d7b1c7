"""Files are handed out to their own tenant only, as something to save; and go to customers with a reply."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
from tests.dashboard.conftest import PASSWORD, hire_everyone
from tests.media.conftest import ANA, JPEG, PDF, Shop
from tests.media.test_fetching import sends

from metachat.domain.accounts import Role
from metachat.foundation.ids import TenantId
from metachat.web.app import create_app

API = "http://127.0.0.1:8080/api/v1"


@dataclass
class Client:
    """A member's program, or browser."""

    http: httpx.AsyncClient
    csrf: str

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Read."""
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, **request: Any) -> httpx.Response:
        """Write."""
        return await self.http.post(path, headers={"x-csrf-token": self.csrf}, **request)


async def enters(shop: Shop, tenant: TenantId, slug: str, role: Role = Role.AGENT) -> Client:
    """A member signs in."""
    await hire_everyone(shop.platform, tenant, slug)
    transport = httpx.ASGITransport(cast(Any, create_app(shop.platform)), raise_app_exceptions=False)
    http = httpx.AsyncClient(transport=transport, base_url=API)
    answer = await http.post("/session", json={"email": f"{role.value}@{slug}.example", "password": PASSWORD})
    assert answer.status_code < 300, answer.text
    return Client(http, answer.json()["csrf_token"])


@pytest.fixture
async def agent(shop: Shop) -> AsyncIterator[Client]:
    """Someone of the team."""
    client = await enters(shop, shop.tenant, "acme")
    yield client
    await client.http.aclose()


@pytest.fixture
async def rival(shop: Shop, stranger: TenantId) -> AsyncIterator[Client]:
    """Someone of another tenant."""
    client = await enters(shop, stranger, "stranger")
    yield client
    await client.http.aclose()


def address(row: dict[str, Any]) -> str:
    """Where a file is handed out."""
    return f"/conversations/{row['conversation_id']}/attachments/{row['id']}"


async def test_a_file_is_handed_out_to_be_saved(shop: Shop, agent: Client, rival: Client) -> None:
    async with shop.worker():
        row = await sends(shop, "image", JPEG, "image/jpeg")
    answer = await agent.get(address(row))
    assert (answer.status_code, answer.content) == (200, JPEG)
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]
    assert headers["content-length"] == str(len(JPEG))
    # Another tenant's, another conversation's, nobody's: all the same.
    assert (await rival.get(address(row))).status_code == 404
    nobody = {**row, "id": row["conversation_id"]}
    assert (await agent.get(address(nobody))).status_code == 404
    assert (await agent.get(address({**row, "conversation_id": row["id"]}))).status_code == 404
    agent.http.cookies.clear()
    assert (await agent.get(address(row))).status_code == 401


@pytest.mark.parametrize(
    ("asked", "status", "begin", "end"),
    [("bytes=0-9", 206, 0, 10), ("bytes=5000-", 206, 5000, len(JPEG)), ("bytes=-7", 206, len(JPEG) - 7, None),
     ("bytes=10-9", 416, 0, 0), ("bytes=999999-", 416, 0, 0), ("bytes=-0", 416, 0, 0),
     ("bytes=-", 200, 0, None),
     ("bytes=0-1,5-6", 200, 0, None), ("lines=1-2", 200, 0, None), ("bytes=0-99999999999999", 206, 0, None)],
)  # fmt: skip
async def test_a_player_asks_for_a_part(
    shop: Shop, agent: Client, asked: str, status: int, begin: int, end: int | None
) -> None:
    async with shop.worker():
        row = await sends(shop, "image", JPEG, "image/jpeg")
    answer = await agent.get(address(row), range=asked)
    assert (answer.status_code, answer.content) == (status, JPEG[begin:end])


async def test_what_was_refused_says_why(shop: Shop, agent: Client) -> None:
    async with shop.worker():
        row = await sends(shop, "document", b"MZ" + bytes(99), "application/pdf")
    answer = await agent.get(address(row))
    assert answer.status_code == 404
    assert "program" in answer.text
    listed = (await agent.get(f"/conversations/{row['conversation_id']}/messages")).json()["items"]
    assert listed[0]["form"] == "document"
    assert listed[0]["attachments"][0]["state"] == "refused"


async def test_an_agent_sends_a_file(shop: Shop, agent: Client, rival: Client) -> None:
    async with shop.worker():
        await shop.says(ANA, "Do you have a receipt?")
        (talk,) = await shop.until("SELECT id FROM conversations")
        talks = f"/conversations/{talk['id']}"
        file = {"file": ("../evil\u202egpj.pdf", PDF, "text/html")}
        assert (await rival.post(f"{talks}/attachments", files=file)).status_code == 404
        uploaded = await agent.post(f"{talks}/attachments", files=file)
        assert uploaded.status_code == 201, uploaded.text
        told = uploaded.json()
        assert (told["form"], told["media_type"], told["name"]) == (
            "document", "application/pdf", "evilgpj.pdf",
        )  # fmt: skip
        assert told["sha256"] == hashlib.sha256(PDF).hexdigest()
        said = {"text": "Here it is.", "attachment": told["id"]}
        sent = await agent.post(f"{talks}/reply", json=said)
        assert sent.status_code == 201, sent.text
        assert sent.json()["attachments"][0]["id"] == told["id"]
        assert (await agent.post(f"{talks}/reply", json=said)).status_code == 409
        assert (await agent.post(f"{talks}/reply", json={"text": ""})).status_code == 422

        def arrived() -> list[Any]:
            return [seen for seen in shop.meta.arrivals() if seen.type == "document"]

        (seen,) = await shop.meta.eventually(arrived, 15)
        assert seen.body["caption"] == "Here it is."
        assert seen.body["filename"] == "evilgpj.pdf"
    rows = await shop.rows("SELECT state, owner_id FROM conversations")
    assert rows[0]["state"] == "assigned"


async def test_what_cannot_be_sent_is_refused_at_once(shop: Shop, agent: Client) -> None:
    async with shop.worker():
        await shop.says(ANA, "Hello")
        (talk,) = await shop.until("SELECT id FROM conversations")
    for content, status in ((b"MZ" + bytes(99), 415), (b"", 415)):
        files = {"file": ("tool.pdf", content, "application/pdf")}
        answer = await agent.post(f"/conversations/{talk['id']}/attachments", files=files)
        assert answer.status_code == status, answer.text
    assert await shop.rows("SELECT * FROM attachments") == []
