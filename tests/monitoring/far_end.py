"""A far end on loopback: Slack, PagerDuty or any webhook; it records, and misbehaves when it is told to."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override


@dataclass(frozen=True)
class Received:
    """One request: when it came, where to, and what it said."""

    at: float
    path: str
    body: Any

    @property
    def text(self) -> str:
        """All of it, to look for words in."""
        return json.dumps(self.body)


@dataclass
class FarEnd:
    """What came in, and what is answered; `answers` are used up first, (status, body, headers)."""

    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)
    answers: list[tuple[int, str, dict[str, str]]] = field(default_factory=list)
    delay: float = 0.0
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def await_(self, wanted: "Callable[[Received], bool]", within: float) -> Received:
        """Wait until something came that is wanted."""
        deadline = time.monotonic() + within
        with self.news:
            while True:
                for one in self.received:
                    if wanted(one):
                        return one
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"did not come within {within:g} s; {len(self.received)} others did")
                self.news.wait(left)


@contextmanager
def far_end(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[FarEnd]:
    """Run one."""
    end = FarEnd(host=host, scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw or b"null")
            with end.news:
                end.received.append(Received(time.time(), self.path, body))
                status, said, headers = end.answers.pop(0) if end.answers else _usual(self.path)
                end.news.notify_all()
            time.sleep(end.delay)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            with contextlib.suppress(ConnectionError):  # whoever asked may have been killed
                self.end_headers()
                self.wfile.write(said.encode())

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    end.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield end
    server.shutdown()
    server.server_close()
    thread.join(5)


def _usual(path: str) -> tuple[int, str, dict[str, str]]:
    if "enqueue" in path:
        return 202, '{"status":"success","message":"Event processed","dedup_key":"x"}', {}
    return 200, "ok", {}
