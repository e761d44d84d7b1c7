"""A simulator in a thread, and a real HTTP server where a platform's door would be."""

import hashlib
import hmac
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from typing_extensions import override

from metachat import simulate
from metachat.simulate import Account, Meta

ANA = "385911234567"


@dataclass(frozen=True)
class Post:
    """One POST at the door."""

    at: float
    signature: str
    body: bytes
    status: int

    @property
    def values(self) -> list[dict[str, Any]]:
        """The values of its changes."""
        return [change["value"] for entry in json.loads(self.body)["entry"] for change in entry["changes"]]


@dataclass
class Door:
    """Takes webhooks; statuses are what it answers next, 200 when there are none."""

    verify_token: str
    statuses: deque[int] = field(default_factory=deque)
    posts: list[Post] = field(default_factory=list)
    address: str = ""

    def messages(self) -> list[dict[str, Any]]:
        """Every message that was acknowledged, as often as it was."""
        return [item for post in self._taken() for value in post.values for item in value.get("messages", [])]

    def reported(self) -> list[dict[str, Any]]:
        """Every status that was acknowledged."""
        return [item for post in self._taken() for value in post.values for item in value.get("statuses", [])]

    def _taken(self) -> list[Post]:
        return [post for post in list(self.posts) if post.status == 200]

    def take(self, signature: str, body: bytes) -> int:
        """Take one POST; gives what to answer."""
        status = self.statuses.popleft() if self.statuses else 200
        self.posts.append(Post(time.monotonic(), signature, body, status))
        return status

    def greets(self, query: dict[str, list[str]]) -> str | None:
        """Answer the challenge, for whoever knows the token."""
        known = query.get("hub.verify_token") == [self.verify_token]
        return query["hub.challenge"][0] if known else None


@pytest.fixture
def meta() -> Iterator[Meta]:
    """The simulator."""
    with simulate.thread() as running:
        yield running


@pytest.fixture
def door(meta: Meta) -> Iterator[Door]:
    """The door that the simulator delivers to."""
    made = Door(meta.account.verify_token)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            said = made.greets(parse_qs(urlsplit(self.path).query))
            self._answer(403 if said is None else 200, (said or "").encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self._answer(made.take(self.headers.get("x-hub-signature-256", ""), body), b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_port}/door"
    meta.connect(made.address)
    yield made
    server.shutdown()
    server.server_close()


class Business:
    """A business's program, which calls the Graph API."""

    def __init__(self, meta: Meta, account: Account) -> None:
        self.account = account
        self.client = httpx.Client(
            base_url=f"{meta.address}/v23.0", headers={"authorization": f"Bearer {account.access_token}"}
        )

    def sends(self, to: str = ANA, **message: Any) -> httpx.Response:
        """Send a message: a plain text unless told otherwise."""
        given = message or {"type": "text", "text": {"body": "Good day"}}
        body = {"messaging_product": "whatsapp", "to": to, **given}
        return self.client.post(f"/{self.account.phone_number_id}/messages", json=body)

    def says(self, text: str, to: str = ANA, **more: Any) -> str:
        """Send a text that is accepted; gives its id."""
        answer = self.sends(to, type="text", text={"body": text}, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["messages"][0]["id"])


@pytest.fixture
def business(meta: Meta) -> Iterator[Business]:
    """The business, whose customer Ana has written already."""
    made = Business(meta, meta.account)
    meta.says(ANA, "Hello")
    yield made
    made.client.close()


@pytest.fixture
def stranger(meta: Meta) -> Iterator[Business]:
    """Another business."""
    made = Business(meta, meta.found("Stranger"))
    yield made
    made.client.close()


def code_of(answer: httpx.Response) -> tuple[int, int]:
    """The HTTP status and the error code of a refusal, whose document is Meta's."""
    error = answer.json()["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= error.keys()
    return answer.status_code, error["code"]


def signed(secret: str, body: bytes) -> str:
    """What the header must say."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
