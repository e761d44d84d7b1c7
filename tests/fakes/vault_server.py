"""HashiCorp Vault's KV version 2 on loopback, as its HTTP API is documented: answers, errors, moods.

    with VaultServer() as vault:
        vault.mood = "sealed"
        ... ask vault.url with vault.token ...

It knows one mount (`secret`), the token, one AppRole, check-and-set, and deletion of all versions. Moods:
"well", "sealed" (503), "standby" (503 without words), "throttled" (429), "forbidden" (403), "silent" (takes
the request, says nothing), "dripping" (a byte of its answer every tenth of a second), "version 1" (a mount of
the older engine).
"""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

_ERRORS: dict[str, tuple[int, list[str]]] = {
    "sealed": (503, ["Vault is sealed"]),
    "standby": (503, []),
    "throttled": (429, ['request path "secret/data/metachat": rate limit quota exceeded']),
    "forbidden": (403, ["1 error occurred:\n\t* permission denied\n\n"]),
}


class VaultServer:
    """The server, what it keeps, and its mood."""

    def __init__(self) -> None:
        self.mood = "well"
        self.token = "hvs.fake-token"
        self.role_id, self.secret_id = "role-1", "secret-1"
        self.kept: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[str] = []
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

    def waits(self, seconds: float) -> bool:
        """Wait while the server lives; tells whether it still does."""
        return not self._stop.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    server_of: VaultServer
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Read, or list with ?list=true."""
        self._serve("GET")

    def do_LIST(self) -> None:
        """List, by Vault's own method."""
        self._serve("LIST")

    def do_POST(self) -> None:
        """Write, or sign in."""
        self._serve("POST")

    def do_DELETE(self) -> None:
        """Delete."""
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        fake = self.server_of
        fake.asked.append(f"{method} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if fake.mood == "silent":
            fake.waits(30)
            self.close_connection = True
            return
        if fake.mood in _ERRORS:
            status, errors = _ERRORS[fake.mood]
            self._answer(status, {"errors": errors})
            return
        self._answer(*self._handled(method, body))

    def _handled(self, method: str, body: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        fake, parts = self.server_of, urlsplit(self.path)
        path = parts.path.removeprefix("/v1/")
        if path == "auth/approle/login":
            if (body.get("role_id"), body.get("secret_id")) != (fake.role_id, fake.secret_id):
                return 400, {"errors": ["invalid role or secret ID"]}
            return 200, {
                "auth": {"client_token": fake.token, "policies": ["metachat"], "lease_duration": 1200}
            }
        if self.headers.get("X-Vault-Token") != fake.token:
            return 403, {"errors": ["permission denied"]}
        mount, _, rest = path.partition("/")
        if mount != "secret":
            return 404, {"errors": [f'no handler for route "{path}". route entry not found.']}
        if fake.mood == "version 1":
            return 200, {"data": {"value": "plain"}, "lease_duration": 2764800, "renewable": False}
        verb, _, name = rest.partition("/")
        if verb == "metadata" and (method == "LIST" or parse_qs(parts.query).get("list")):
            keys = sorted(key.removeprefix(f"{name}/") for key in fake.kept if key.startswith(f"{name}/"))
            return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})
        if verb == "metadata" and method == "DELETE":
            fake.kept.pop(name, None)
            return 204, None
        return self._read(name) if method == "GET" else self._write(name, body)

    def _read(self, name: str) -> tuple[int, dict[str, Any]]:
        versions = self.server_of.kept.get(name)
        return (200, {"data": versions[-1], "warnings": None}) if versions else (404, {"errors": []})

    def _write(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        versions = self.server_of.kept.setdefault(name, [])
        cas = body.get("options", {}).get("cas")
        if cas is not None and cas != len(versions):
            return 400, {"errors": ["check-and-set parameter did not match the current version"]}
        made = {
            "created_time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z",
            "custom_metadata": None, "deletion_time": "", "destroyed": False, "version": len(versions) + 1,
        }  # fmt: skip
        versions.append({"data": body["data"], "metadata": made})
        return 200, {"data": made}

    def _answer(self, status: int, content: dict[str, Any] | None) -> None:
        body = b"" if content is None else json.dumps({"request_id": "1", **content}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server_of.mood != "dripping":
            self.wfile.write(body)
            return
        for byte in body:
            if not self.server_of.waits(0.1):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
