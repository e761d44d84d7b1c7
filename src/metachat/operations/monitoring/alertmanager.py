"""What Debian's Alertmanager reads: who hears of what, what belongs together, what explains what."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metachat.operations.monitoring.receivers.email import Post
from metachat.operations.monitoring.receivers.pagerduty import ENDPOINT
from metachat.operations.monitoring.rules import RULES, Pace
from metachat.operations.site import Receiver

_TITLE = (
    '[{{ if eq .Status "resolved" }}RESOLVED{{ else }}{{ .CommonLabels.severity | toUpper }}{{ end }}]'
    " {{ .CommonLabels.site }}: {{ .CommonLabels.alertname }}"
)
_TEXT = "{{ range .Alerts }}{{ .Annotations.summary }}\nRunbook: {{ .Annotations.runbook_url }}\n{{ end }}"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Where the sign of life goes: a file that holds the address, or an address that is no secret."""

    file: Path | None = None
    address: str = ""

    def config(self) -> dict[str, Any]:
        """Alertmanager's receiver; url_file is understood from 0.26 on, which Debian 13 has."""
        where = {"url_file": str(self.file)} if self.file else {"url": self.address}
        return {**where, "send_resolved": False}


def render(
    receivers: Sequence[Receiver], secrets: Path, heartbeats: Iterable[Heartbeat] = (),
    pace: Pace = Pace(), post: Post | None = None,  # noqa: B008  (frozen)
) -> str:  # fmt: skip
    """Alertmanager's configuration; secrets is the folder with a file for each receiver. JSON is YAML."""
    beats = {_heartbeat(number): one.config() for number, one in enumerate(heartbeats, start=1)}
    quiet = [one for one in receivers if one.kind != "pagerduty"] or list(receivers)
    told: dict[str, Any] = {
        "route": _route(pace, list(beats) or [_heartbeat(1)]),
        "inhibit_rules": _inhibitions(),
        "receivers": [
            {"name": "page", **_configs(receivers, secrets, post)},
            {"name": "ticket", **_configs(quiet, secrets, post)},
            *({"name": name, "webhook_configs": [config]} for name, config in beats.items()),
            *([] if beats else [{"name": _heartbeat(1)}]),
        ],
    }
    return json.dumps(told, indent=2) + "\n"


def _heartbeat(number: int) -> str:
    return "heartbeat" if number == 1 else f"heartbeat-{number}"


def _route(pace: Pace, heartbeats: list[str]) -> dict[str, Any]:
    beat = {"group_wait": "0s", "group_interval": f"{pace.heartbeat}s"}
    return {
        "receiver": "ticket",
        # All instances that suffer the same are one message.
        "group_by": ["site", "alertname"],
        "group_wait": f"{pace.group_wait}s",
        "group_interval": f"{pace.group_interval}s",
        "repeat_interval": f"{pace.repeat}s",
        "routes": [
            # A little less than the interval: what is due in the very moment waits for the next. Each has a
            # route of its own: where one does not answer, the others would wait with it.
            *(
                {
                    "matchers": ['alertname="Watchdog"'], "receiver": name, **beat,
                    "repeat_interval": f"{pace.heartbeat * 900}ms", "continue": name != heartbeats[-1],
                }
                for name in heartbeats
            ),
            {"matchers": ['severity="page"'], "receiver": "page"},
        ],
    }  # fmt: skip


def _inhibitions() -> list[dict[str, Any]]:
    sources = sorted({source for rule in RULES for source in rule.explained_by})
    return [
        {
            "source_matchers": [f'alertname="{source}"'],
            "target_matchers": [
                f'alertname=~"{"|".join(rule.name for rule in RULES if source in rule.explained_by)}"'
            ],
            "equal": ["site"],
        }
        for source in sources
    ]


def _configs(receivers: Iterable[Receiver], secrets: Path, post: Post | None) -> dict[str, Any]:
    told: dict[str, list[dict[str, Any]]] = {}
    for one in receivers:
        told.setdefault(f"{one.kind}_configs", []).append(_config(one, secrets, post))
    return told


def _config(one: Receiver, secrets: Path, post: Post | None) -> dict[str, Any]:
    secret = str(secrets / one.name)
    if one.kind == "slack":
        return {"api_url_file": secret, "send_resolved": True, "title": _TITLE, "text": _TEXT}
    if one.kind == "pagerduty":
        return {
            "routing_key_file": secret, "url": one.endpoint or ENDPOINT, "description": _TITLE,
            "severity": "critical", "details": {"alerts": _TEXT},
            "links": [
                {"href": "{{ (index .Alerts 0).Annotations.runbook_url }}", "text": "Runbook"},
            ],
        }  # fmt: skip
    if one.kind == "webhook":
        return {"url_file": secret, "send_resolved": True}
    assert post is not None, "the caller checks that there is an e-mail server"
    told: dict[str, Any] = {
        "to": one.to, "from": post.sender, "smarthost": f"{post.host}:{post.port}", "send_resolved": True,
        "require_tls": post.tls != "none", "headers": {"Subject": _TITLE}, "text": _TEXT,
    }  # fmt: skip
    if post.user:
        told |= {"auth_username": post.user, "auth_password_file": str(secrets / "smtp_password")}
    return told
