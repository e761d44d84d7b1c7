"""The contract of a receiver: it is given a message, and tells what the far end answered."""

from dataclasses import dataclass
from typing import Literal, Protocol

Severity = Literal["page", "ticket"]
State = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody is to hear; key is the same for the beginning and the end of one trouble."""

    key: str
    state: State
    severity: Severity
    summary: str
    runbook: str
    detail: str = ""
    site: str = "metachat"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the far end said; retry_after is seconds where another try may help, None where it won't."""

    delivered: bool
    said: str
    fix: str = ""
    retry_after: float | None = None


class Receiver(Protocol):
    """Whoever hears of alerts. A call ends within a bounded time, and never raises for the far end's sake."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def kind(self) -> str:
        """What it is."""
        ...

    def send(self, message: Message) -> Answer:
        """Send once."""
        ...


def headline(message: Message) -> str:
    """The line that every receiver shows first."""
    word = "RESOLVED" if message.state == "resolved" else message.severity.upper()
    return f"[{word}] {message.site}: {message.summary}"
