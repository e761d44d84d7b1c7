"""PagerDuty, by its Events API v2."""

from dataclasses import dataclass, field
from typing import Any

from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers.contract import Answer, Message
from metachat.operations.monitoring.receivers.posting import post

ENDPOINT = "https://events.pagerduty.com/v2/enqueue"
_FIXES = {400: "PagerDuty does not know this routing key: set the secret to an Events API v2 integration's."}
_SEVERITIES = {"page": "critical", "ticket": "warning"}


@dataclass(frozen=True, slots=True)
class PagerDuty:
    """A service of PagerDuty, named by its routing key."""

    name: str
    key: Secret = field(repr=False)
    endpoint: str = ENDPOINT
    kind: str = "pagerduty"

    def send(self, message: Message) -> Answer:
        """Send once."""
        return post(self.endpoint or ENDPOINT, self._body(message), _FIXES)

    def _body(self, message: Message) -> dict[str, Any]:
        body: dict[str, Any] = {
            "routing_key": self.key.reveal(),
            "dedup_key": f"{message.site}/{message.key}",
            "event_action": "resolve" if message.state == "resolved" else "trigger",
        }
        if message.state == "firing":
            body["payload"] = {
                "summary": message.summary[:1024],
                "source": message.site,
                "severity": _SEVERITIES[message.severity],
                "custom_details": {"detail": message.detail, "runbook": message.runbook},
            }
            body["links"] = [{"href": message.runbook, "text": "Runbook"}]
        return body
