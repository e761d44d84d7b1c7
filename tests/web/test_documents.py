"""Stories of documents over HTTP."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.knowledge.scripted import ScriptedEmbedder
from tests.web.conftest import Office, Person

from metachat.domain.accounts import ApiScope, Role
from metachat.domain.knowledge.indexing import Workshop, index
from metachat.foundation.db import Database
from metachat.foundation.ids import DocumentId

RETURNS = b"# Returns\n\nYou may return goods within 30 days.\n"


async def _upload(person: Person, name: str, content: bytes) -> httpx.Response:
    return await person.sends("POST", "/api/v1/documents", files={"file": (name, content)})


async def _index(office: Office, worker_db: Database, document: dict[str, Any]) -> None:
    workshop = Workshop(worker_db, office.platform.blobs, ScriptedEmbedder(), asyncio.Semaphore(1))
    await index(workshop, office.tenant, DocumentId(document["id"]))


async def test_an_agent_uploads_and_everyone_reads(acme: Office, rival: Office, worker_db: Database) -> None:
    agent, viewer, spy = (
        await acme.enters(Role.AGENT),
        await acme.enters(Role.VIEWER),
        await rival.enters(Role.OWNER),
    )
    answer = await _upload(agent, "Rückgabe š.md", RETURNS)
    assert answer.status_code == 202, answer.text
    document = answer.json()
    assert (document["name"], document["status"], document["size_bytes"]) == (
        "Rückgabe š.md",
        "pending",
        len(RETURNS),
    )
    await _index(acme, worker_db, document)

    address = f"/api/v1/documents/{document['id']}"
    shown = (await viewer.sends("GET", address)).json()
    assert (shown["status"], shown["chunks_done"], shown["language"]) == ("ready", 1, "en")
    assert (await viewer.sends("GET", "/api/v1/documents")).json()["items"] == [shown]
    content = await viewer.sends("GET", f"{address}/content")
    assert content.content == RETURNS
    assert content.headers["content-disposition"].startswith("attachment")
    passage = (await viewer.sends("GET", "/api/v1/passages/1")).json()
    assert (passage["heading"], passage["text"]) == ("Returns", "You may return goods within 30 days.")

    for path in (address, f"{address}/content", "/api/v1/passages/1"):
        assert (await spy.sends("GET", path)).status_code == 404
    assert (await spy.sends("GET", "/api/v1/documents")).json()["items"] == []
    assert (await spy.sends("DELETE", address)).status_code == 404
    assert (await agent.sends("DELETE", address)).status_code == 204
    assert (await viewer.sends("GET", address)).status_code == 404


async def test_a_viewer_only_reads(acme: Office) -> None:
    viewer = await acme.enters(Role.VIEWER)
    refused = await _upload(viewer, "help.md", RETURNS)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    reading = await acme.key(ApiScope.KNOWLEDGE_READ)
    headers = {"Authorization": f"Bearer {reading}"}
    assert (await acme.client.get("/api/v1/documents", headers=headers)).status_code == 200
    uploaded = await acme.client.post("/api/v1/documents", headers=headers, files={"file": ("a.md", RETURNS)})
    assert uploaded.status_code == 403
    assert (await acme.client.post("/api/v1/documents", files={"file": ("a.md", RETURNS)})).status_code == 401


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("photo.png", b"\x89PNG", 415, "unsupported_file"),
        ("report.pdf", b"just text", 415, "wrong_extension"),
        ("nothing.txt", b"", 422, "empty_file"),
    ],
)
async def test_a_refusal_says_what_to_do(
    acme: Office, name: str, content: bytes, status: int, code: str
) -> None:
    answer = await _upload(await acme.enters(Role.AGENT), name, content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"]


async def test_two_hundred_megabytes_are_refused_clearly(acme: Office) -> None:
    agent = await acme.enters(Role.AGENT)
    boundary = "x" * 20
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="big.txt"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head.encode()
        for _ in range(200):
            yield b"word " * (1024 * 1024 // 5)
        yield f"\r\n--{boundary}--\r\n".encode()

    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    extras: list[dict[str, str]] = [{}, {"Content-Length": str(200 * 1024 * 1024)}]
    for extra in extras:
        answer = await agent.sends("POST", "/api/v1/documents", content=body(), headers={**kind, **extra})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "52,428,800" in answer.json()["detail"]
    root = acme.platform.blobs.for_tenant(acme.tenant).path("00").parent.parent
    assert not root.exists() or list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({"Content-Type": "application/json"}, b"{}", "not_multipart"),
        ({"Content-Type": "multipart/form-data"}, b"x", "not_multipart"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"no part here", "upload_incomplete"),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            "upload_incomplete",
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf a file',
            "upload_incomplete",
        ),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    acme: Office, headers: dict[str, str], body: bytes, code: str
) -> None:
    agent = await acme.enters(Role.AGENT)
    answer = await agent.sends("POST", "/api/v1/documents", content=body, headers=headers)
    assert answer.json()["code"] == code


async def test_bytes_arrive_as_they_were_sent(acme: Office) -> None:
    agent = await acme.enters(Role.AGENT)
    content = b"\r\n--boundary-like\r\n" * 40_000 + b"the end\r\n"
    answer = await _upload(agent, "long.txt", content)
    assert answer.status_code == 202, answer.text
    stored = await agent.sends("GET", f"/api/v1/documents/{answer.json()['id']}/content")
    assert hashlib.sha256(stored.content).digest() == hashlib.sha256(content).digest()


async def test_an_admin_has_everything_indexed_again(acme: Office, worker_db: Database) -> None:
    agent, admin = await acme.enters(Role.AGENT), await acme.enters(Role.ADMIN)
    await _upload(agent, "help.md", RETURNS)
    assert (await agent.sends("POST", "/api/v1/documents/reindex")).status_code == 403
    answer = await admin.sends("POST", "/api/v1/documents/reindex")
    assert (answer.status_code, answer.json()) == (202, {"documents": 1})
