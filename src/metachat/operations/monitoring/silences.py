"""Alerts that nobody wants to hear for a while: in Alertmanager where it runs, else in the data folder."""

import contextlib
import getpass
import http.client
import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.local import folder

FILE = "alert-silences.json"
ALERTMANAGER = "http://127.0.0.1:9093"
_PATIENCE_SECONDS = 5.0
_LONGEST_ANSWER = 4 * 1024 * 1024


class AlertmanagerRefused(Refusal):
    """Alertmanager did not take it."""

    code, kind = "alertmanager_refused", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Silence:
    """An alert that is not heard; until in seconds since 1970, who and why for the next person."""

    alert: str
    until: float
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that is on; muted tells whether it is silenced or explained by another."""

    alert: str
    since: str
    summary: str
    muted: bool


def keep(data: Path, silence: Silence) -> None:
    """Silence an alert for the watch on a data folder."""
    others = [one for one in kept(data) if one.alert != silence.alert]
    folder.ensure(data)
    folder.write(data / FILE, json.dumps([asdict(one) for one in [*others, silence]]), 0o600)


def kept(data: Path, now: float | None = None) -> list[Silence]:
    """The silences of a data folder that still hold; a file that cannot be read silences nothing."""
    now = time.time() if now is None else now
    with contextlib.suppress(OSError, ValueError, TypeError):
        return [one for one in (Silence(**told) for told in json.loads((data / FILE).read_text()))
                if one.until > now]  # fmt: skip
    return []


def tell_alertmanager(silence: Silence, address: str = ALERTMANAGER) -> bool:
    """Silence an alert in Alertmanager; False when none answers there. Raises AlertmanagerRefused."""
    body = {
        "matchers": [{"name": "alertname", "value": silence.alert, "isRegex": False, "isEqual": True}],
        "startsAt": datetime.now(UTC).isoformat(),
        "endsAt": datetime.fromtimestamp(silence.until, UTC).isoformat(),
        "createdBy": silence.who,
        "comment": silence.reason,
    }
    return _call("POST", f"{address}/api/v2/silences", body) is not None


def firing(address: str = ALERTMANAGER) -> list[Firing] | None:
    """What is on in Alertmanager; None when none answers there. Raises AlertmanagerRefused."""
    found = _call("GET", f"{address}/api/v2/alerts", None)
    if found is None:
        return None
    return [
        Firing(
            one["labels"]["alertname"], one["startsAt"], one["annotations"].get("summary", ""),
            one["status"]["state"] == "suppressed",
        )
        for one in found
        if one["labels"]["alertname"] != "Watchdog"
    ]  # fmt: skip


def who() -> str:
    """Name whoever silences."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def _call(method: str, address: str, body: Any) -> Any:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_PATIENCE_SECONDS)
    try:
        encoded = None if body is None else json.dumps(body).encode()
        connection.request(method, parts.path, encoded, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read(_LONGEST_ANSWER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        raise AlertmanagerRefused(f"{answer.status} {content[:200].decode(errors='replace')}")
    return json.loads(content)
