"""What measuring costs: the cheapest request with and without it, and a scrape every ten seconds."""

import gc
import statistics
import time
from typing import Any, cast
from unittest.mock import patch

from bench.chat_site import chat_site
from bench.result import Result
from metachat.foundation.settings import load
from metachat.web.app import create_app
from metachat.web.metrics import Metrics
from metachat.wiring import open_platform

REQUESTS = 1_500
ROUNDS = 15
SCRAPES = 20
SCRAPED_EVERY = 10.0

_SCOPE: dict[str, Any] = {
    "type": "http", "method": "GET", "path": "/health/live", "raw_path": b"/health/live", "query_string": b"",
    "root_path": "", "scheme": "http", "http_version": "1.1", "headers": [(b"host", b"127.0.0.1")],
    "client": ("127.0.0.1", 40_000), "server": ("127.0.0.1", 8080), "asgi": {"version": "3.0"},
}  # fmt: skip


async def run() -> list[Result]:
    """Take turns, and compare CPU time: others on the machine slow both alike."""
    async with chat_site() as site, open_platform(load(site.environment, "api"), "api") as platform:
        app = create_app(platform)
        await _spent(app, "/health/live", REQUESTS)
        ratios: list[float] = []
        for _ in range(ROUNDS):
            measured = await _spent(app, "/health/live", REQUESTS)
            with patch.object(Metrics, "count", _uncounted):
                unmeasured = await _spent(app, "/health/live", REQUESTS)
            ratios.append(measured / unmeasured)
        scrape = await _spent(app, "/metrics", SCRAPES) / SCRAPES
    request = (statistics.median(ratios) - 1) * 100
    share = scrape / SCRAPED_EVERY * 100
    return [
        Result("counting and timing, share of the cheapest request", request, "%"),
        Result("one scrape of an api process", scrape * 1000, "ms"),
        Result("scrapes every 10 s, share of a core", share, "%"),
        Result("request rate that metrics cost, at most", request + share, "%", 5),
    ]


async def _spent(app: Any, path: str, count: int) -> float:
    """Seconds of CPU for so many requests, one after the other."""
    gc.collect()
    began = time.process_time()
    for _ in range(count):
        await app(cast(Any, {**_SCOPE, "path": path, "raw_path": path.encode()}), _receive, _send)
    return time.process_time() - began


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(message: dict[str, Any]) -> None:
    assert message.get("status", 200) == 200


def _uncounted(*_: Any) -> None:
    pass
