"""A real store of objects on loopback, and bad weather in front of it."""

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal

from typing_extensions import override

from metachat.foundation.settings import Secret
from metachat.operations.backups.targets.s3 import Bucket, S3Target

KEY, SECRET, BUCKET = "backupkey", "backup-secret-of-the-test", "offsite"

Fault = Literal["fine", "500", "503", "cut", "slow", "lies", "full", "revoked", "skewed", "wrong byte"]
_STATUS = {"500": 500, "503": 503, "full": 507, "revoked": 403, "skewed": 403}
_WORDS = {"full": "InsufficientStorage", "revoked": "InvalidAccessKeyId", "skewed": "RequestTimeTooSkewed"}


class Weather:
    """What happens to requests of a method from now on: a fault for so many of them, then it is fine."""

    def __init__(self, root: Path, store: int) -> None:
        self.root, self.store = root, store
        self.endpoint = ""
        self.released = threading.Event()
        self._lock = threading.Lock()
        self._fault: Fault = "fine"
        self._method, self._left, self._after = "", 0, 0
        self.met = 0

    def brings(self, fault: Fault, method: str = "PUT", times: int = 10**6, after: int = 0) -> None:
        """From the request `after` so many others of this method on."""
        with self._lock:
            self._fault, self._method, self._left, self.met = fault, method, times, 0
            self._after = after

    def clears(self) -> None:
        self.brings("fine", times=0)

    def meets(self, method: str) -> Fault:
        with self._lock:
            if method != self._method or self._left <= 0:
                return "fine"
            if self._after > 0:
                self._after -= 1
                return "fine"
            self._left -= 1
            self.met += 1
            return self._fault


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    weather: Weather

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.weather.meets(self.command)
        if fault in _STATUS:
            self._answer(
                _STATUS[fault], f"<Error><Code>{_WORDS.get(fault, 'Trouble')}</Code></Error>".encode()
            )
        elif fault == "cut":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif fault == "slow":
            self.weather.released.wait(30)
            self.close_connection = True
        elif fault == "lies":
            path = self.weather.root / self.path.split("?")[0].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * len(body))
            self._answer(200, b"", {"ETag": '"00000000000000000000000000000000"'})
        else:
            self._pass_on(body, fault)

    def _pass_on(self, body: bytes, fault: Fault) -> None:
        there = http.client.HTTPConnection("127.0.0.1", self.weather.store, timeout=60)
        there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            there.putheader(name, value)
        there.endheaders(body)
        answer = there.getresponse()
        content = answer.read()
        if fault == "wrong byte" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        self._answer(answer.status, content, dict(answer.getheaders()))
        there.close()

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        given = headers or {}
        for name, value in given.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        length = given.get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def store(root: Path) -> Iterator[int]:
    """rclone's own S3 server over a folder; tells its port."""
    (root / BUCKET).mkdir(parents=True)
    port = free_port()
    argv = [
        "rclone",
        "serve",
        "s3",
        "--addr",
        f"127.0.0.1:{port}",
        "--auth-key",
        f"{KEY},{SECRET}",
        str(root),
    ]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={"PATH": path, "HOME": str(root)}
    )
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        assert process.poll() is None, "rclone ended"
        assert time.monotonic() < deadline, "rclone does not listen"
        time.sleep(0.05)
    try:
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def behind_weather(root: Path) -> Iterator[tuple[Weather, str]]:
    """A store behind weather; tells the address to speak to."""
    with store(root) as port:
        weather = Weather(root, port)
        handler = type("Proxy", (_Proxy,), {"weather": weather})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            weather.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            yield weather, weather.endpoint
        finally:
            weather.released.set()
            server.shutdown()
            server.server_close()


def bucket(endpoint: str, secret: str = SECRET, seconds: float = 20, patience: float = 2) -> S3Target:
    """The bucket, through an endpoint."""
    return S3Target(
        Bucket(
            BUCKET, "shop", endpoint, access_key=Secret(KEY), secret_key=Secret(secret),
            seconds=seconds, patience=patience,
        )
    )  # fmt: skip
