"""Slack, by an incoming webhook."""

from dataclasses import dataclass, field
from typing import Any

from metachat.foundation.settings import Secret
from metachat.operations.monitoring.receivers.contract import Answer, Message, headline
from metachat.operations.monitoring.receivers.posting import post

_RENEW = "Make a new incoming webhook in Slack, and set the secret to its address."
_FIXES = {400: _RENEW, 403: _RENEW, 404: _RENEW, 410: _RENEW}
_COLOURS = {"firing": "#c0392b", "resolved": "#27ae60"}


@dataclass(frozen=True, slots=True)
class Slack:
    """A channel of Slack; the webhook's address names it, and is the secret."""

    name: str
    address: Secret = field(repr=False)
    kind: str = "slack"

    def send(self, message: Message) -> Answer:
        """Send once."""
        return post(self.address.reveal(), _body(message), _FIXES)


def _body(message: Message) -> dict[str, Any]:
    lines = [message.detail, f"Runbook: {message.runbook}"]
    text = "\n".join(line for line in lines if line)
    return {
        "text": _escaped(headline(message)),
        "attachments": [{"color": _COLOURS[message.state], "text": _escaped(text)}],
    }


def _escaped(text: str) -> str:
    # Slack reads these three as markup, such as a mention of everybody.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
