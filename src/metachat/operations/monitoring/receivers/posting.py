"""One POST of JSON with a bounded time, and what its answer means."""

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from metachat.operations.monitoring.receivers.contract import Answer

SECONDS = 10.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_LONGEST_ANSWER = 4096
_LONGEST_PAUSE = 60.0
_TRY_AGAIN = "Nothing is to be done unless it goes on: see whether the far end has an outage."


def post(address: str, body: Mapping[str, Any], fixes: Mapping[int, str], seconds: float = SECONDS) -> Answer:
    """Post, and tell what came back; `fixes` says by status what is to be done about a refusal.

    The answer never holds the address: that of a receiver is as good as its password.
    """
    wrong = _wrong_with(address)
    if wrong:
        return Answer(delivered=False, said=wrong, fix="Set the secret that holds its address again.")
    results: list[Answer] = []
    # A far end that sends a byte now and then would hold up a call that bounds each read only.
    thread = threading.Thread(
        target=lambda: results.append(_post(address, body, fixes, seconds)), name="receiver", daemon=True
    )
    thread.start()
    thread.join(seconds)
    return results[0] if results else _late(seconds)


def _wrong_with(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its address cannot be read"
    if parts.scheme not in ("http", "https") or not host:
        return "its address is no https:// address"
    if parts.scheme == "http" and host not in _LOOPBACK:
        return "its address would send alerts in the clear"
    return ""


def _post(address: str, body: Mapping[str, Any], fixes: Mapping[int, str], seconds: float) -> Answer:
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        headers = {"Content-Type": "application/json", "User-Agent": "metachat"}
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        said = response.read(_LONGEST_ANSWER).decode("utf-8", "replace").strip()
        return _meaning(response.status, said, response.getheader("Retry-After"), fixes)
    except TimeoutError:
        return _late(seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(
            delivered=False, said=f"cannot be reached ({type(error).__name__})", retry_after=1,
            fix="See whether this machine reaches the internet, and whether the address is right.",
        )  # fmt: skip
    finally:
        connection.close()


def _meaning(status: int, said: str, after: str | None, fixes: Mapping[int, str]) -> Answer:
    told = f"{status} {said[:200]}".strip()
    if 200 <= status < 300:
        return Answer(delivered=True, said=told)
    if status == 429:
        pause = float(after) if after and after.isdigit() else 2.0
        return Answer(
            delivered=False, said=told, fix=fixes.get(429, _TRY_AGAIN), retry_after=min(pause, _LONGEST_PAUSE)
        )
    if status >= 500:
        return Answer(delivered=False, said=told, fix=fixes.get(status, _TRY_AGAIN), retry_after=1)
    fix = fixes.get(status, "The far end does not take it: check the secret that holds its address or key.")
    return Answer(delivered=False, said=told, fix=fix)


def _late(seconds: float) -> Answer:
    return Answer(delivered=False, said=f"no answer within {seconds:g} s", fix=_TRY_AGAIN, retry_after=1)
