"""Hears the sign of life that Alertmanager sends, on a port of this machine."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from typing_extensions import override

_LONGEST = 1024 * 1024


class Beats:
    """Knows when the last sign of life came; `last` in steady seconds, its own beginning at first."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.last = time.monotonic()
        self._server = ThreadingHTTPServer((host, port), _handler(self))
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="beats", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(beats: Beats) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "0")
            self.rfile.read(min(int(length) if length.isdigit() else 0, _LONGEST))
            beats.last = time.monotonic()
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
