"""Any program that takes a POST of JSON, in the form that Alertmanager's webhooks have."""

from dataclasses import dataclass, field
from typing import Any

from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers.contract import Answer, Message
from metachat.operations.monitoring.receivers.posting import post


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that takes alerts; it may carry a token, so it is the secret."""

    name: str
    address: Secret = field(repr=False)
    kind: str = "webhook"

    def send(self, message: Message) -> Answer:
        """Send once."""
        return post(self.address.reveal(), _body(message), {})


def _body(message: Message) -> dict[str, Any]:
    labels = {"alertname": message.key, "severity": message.severity, "site": message.site}
    notes = {"summary": message.summary, "description": message.detail, "runbook_url": message.runbook}
    return {
        "version": "4",
        "status": message.state,
        "groupKey": message.key,
        "alerts": [{"status": message.state, "labels": labels, "annotations": notes}],
    }
