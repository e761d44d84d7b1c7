"""Looks at a site as a customer does; each probe ends within a bounded time, and never raises."""

import http.client
import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from metachat.operations.watching.certificates import served_until
from metachat.operations.watching.model import Result

HEALTH, CERTIFICATE, QUESTION, HEARTBEAT = "health", "certificate", "question", "heartbeat"
_DAY = 86_400
_CERTIFICATE_DAYS = 14
_LONGEST_ANSWER = 1024 * 1024


class Amiss(Exception):
    """What was found instead of what was hoped for."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question whose answer is known, and the web chat that it is asked through."""

    channel: str
    text: str
    expect: str = ""
    patience: float = 60.0


def health(address: str, patience: float = 10.0) -> Result:
    """Whether the site says that it can serve."""

    def look() -> str:
        status, body = _call(address, "GET", "/health/ready", patience)
        if status != 200:
            raise Amiss(f"{status} {body[:120].decode('utf-8', 'replace')}")
        return "200"

    return _probed(HEALTH, look)


def certificate(address: str, now: Callable[[], float] = time.time) -> Result | None:
    """Whether the served certificate is good for long enough; None for a site without TLS."""
    if not address.startswith("https://"):
        return None

    def look() -> str:
        until = served_until(address)
        days = ((until or 0) - now()) / _DAY
        if days < _CERTIFICATE_DAYS:
            raise Amiss(f"good for {days:.1f} more days")
        return f"good for {days:.0f} more days"

    return _probed(CERTIFICATE, look)


def question(address: str, asked: Question) -> Result:
    """Whether the assistant answers through the public web chat."""
    return _probed(QUESTION, lambda: _ask(address, asked))


def heartbeat(last: float, now: float, within: float) -> Result:
    """Whether the sign of life of Prometheus and Alertmanager came in time; steady seconds."""
    silent = now - last
    return Result(HEARTBEAT, silent <= within, 0.0, f"last heard {silent:.0f} s ago")


def _ask(address: str, asked: Question) -> str:
    deadline = time.monotonic() + asked.patience
    door = f"/chat/{asked.channel}"
    token = _json(address, "POST", f"{door}/sessions", 201, {})["token"]
    told = {"text": asked.text, "client_key": uuid.uuid4().hex}
    _json(address, "POST", f"{door}/messages", 202, told, token)
    while time.monotonic() < deadline:
        history = _json(address, "GET", f"{door}/messages?after=0", 200, None, token)
        for message in history["items"]:
            if message["author"] == "assistant":
                return _judged(str(message["text"]), asked.expect, str(message["declined"]))
        time.sleep(0.5)
    raise Amiss(f"no answer within {asked.patience:g} s")


def _judged(answer: str, expect: str, declined: str) -> str:
    if declined == "True":
        raise Amiss(f"declined: {answer[:120]}")
    if expect.lower() not in answer.lower():
        raise Amiss(f"answered without {expect!r}: {answer[:120]}")
    return f"answered: {answer[:120]}"


def _json(
    address: str, method: str, path: str, wanted: int, body: Any, token: str | None = None
) -> dict[str, Any]:
    status, content = _call(address, method, path, 15.0, body, token)
    if status != wanted:
        raise Amiss(
            f"{method} {path.rpartition('/')[2]}: {status} {content[:120].decode('utf-8', 'replace')}"
        )
    try:
        found = json.loads(content)
    except ValueError as error:
        raise Amiss(f"{path} is no JSON") from error
    if not isinstance(found, dict):
        raise Amiss(f"{path} is no object")
    return found


def _call(
    address: str, method: str, path: str, patience: float, body: Any = None, token: str | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(address)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=patience, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(_LONGEST_ANSWER)
    finally:
        connection.close()


def _probed(probe: str, look: Callable[[], str]) -> Result:
    began = time.monotonic()
    try:
        ok, said = True, look()
    except Amiss as amiss:
        ok, said = False, str(amiss)
    except (TimeoutError, socket.gaierror) as error:
        ok, said = False, "no answer in time" if isinstance(error, TimeoutError) else "its name is not known"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        ok, said = False, f"{type(error).__name__}: {error}"[:160]
    return Result(probe, ok, round(time.monotonic() - began, 3), said)
