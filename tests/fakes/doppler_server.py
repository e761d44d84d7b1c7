"""Doppler's REST API for the secrets of one config on loopback, as documented: answers, errors, moods.

Moods: "well", "throttled" (429), "down" (503 with a page that is no JSON), "silent", "write-only" (a token
that may only write sees null in place of values).
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

_SECRET = "/v3/configs/config/secret"


class DopplerServer:
    """The server, what it keeps, and its mood."""

    def __init__(self) -> None:
        self.mood = "well"
        self.token = "dp.st.prd.fake"
        self.project, self.config = "chat", "prd"
        # Doppler puts three of its own into every config.
        self.kept = {"DOPPLER_PROJECT": "chat", "DOPPLER_CONFIG": "prd", "DOPPLER_ENVIRONMENT": "prd"}
        self._stop = threading.Event()
        fake = self

        class Handler(_Handler):
            server_of = fake

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._http.shutdown()
        self._http.server_close()

    def waits(self, seconds: float) -> None:
        """Wait while the server lives."""
        self._stop.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    server_of: DopplerServer
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Names, or one secret."""
        self._serve()

    def do_POST(self) -> None:
        """Set secrets."""
        self._serve()

    def do_DELETE(self) -> None:
        """Delete one secret."""
        self._serve()

    def _serve(self) -> None:
        fake = self.server_of
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if fake.mood == "silent":
            fake.waits(30)
            self.close_connection = True
        elif fake.mood == "down":
            self._answer(503, b"<html>upstream</html>")
        elif fake.mood == "throttled":
            self._refuse(429, "Rate limit exceeded")
        elif self.headers.get("Authorization") != f"Bearer {fake.token}":
            self._refuse(401, "Invalid Service token")
        else:
            self._handle(body)

    def _handle(self, body: dict[str, Any]) -> None:
        fake, parts = self.server_of, urlsplit(self.path)
        given = body or {name: values[0] for name, values in parse_qs(parts.query).items()}
        if given.get("project") != fake.project:
            self._refuse(404, f"Could not find requested project '{given.get('project')}'")
        elif given.get("config") != fake.config:
            self._refuse(403, "This token does not have access to requested config")
        elif parts.path == f"{_SECRET}s/names":
            self._tell({"names": sorted(fake.kept)})
        elif parts.path == f"{_SECRET}s" and self.command == "POST":
            fake.kept.update(body["secrets"])
            self._tell({"secrets": {name: self._value(name) for name in fake.kept}})
        elif given.get("name") not in fake.kept:
            self._refuse(404, f"Could not find requested secret: {given.get('name')}")
        elif self.command == "DELETE":
            del fake.kept[given["name"]]
            self._answer(204, b"")
        else:
            self._tell({"name": given["name"], "value": self._value(given["name"])})

    def _value(self, name: str) -> dict[str, Any]:
        shown = None if self.server_of.mood == "write-only" else self.server_of.kept[name]
        return {
            "raw": shown, "computed": shown, "note": "",
            "rawVisibility": "masked", "computedVisibility": "masked",
        }  # fmt: skip

    def _tell(self, content: dict[str, Any]) -> None:
        self._answer(200, json.dumps({**content, "success": True}).encode())

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, json.dumps({"messages": [message], "success": False}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
