"""A message of ours on its way to its provider: what it says, and how long it is tried. Pure."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from metachat.domain.channels import Channel, Enclosure, NotSent, Outgoing
from metachat.domain.conversations.deliveries.reference import Reference
from metachat.domain.conversations.deliveries.sources import with_sources
from metachat.foundation.ids import ConversationId, MessageId

# An answer that comes a day later helps nobody.
LIFETIME = timedelta(hours=24)
LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that waits for its provider.

    started: this worker may make the call now; otherwise a call before has ended without our knowing how,
    and `wait` seconds remain in which its provider may still tell. heard_at: when the person last wrote.
    """

    channel: Channel
    message: MessageId
    conversation: ConversationId
    external_id: str
    phone: str
    text: str
    citations: list[dict[str, Any]]
    language: str | None
    detail: dict[str, Any]
    part: int
    round: int
    attempts: int
    repeated: int
    started: bool
    wait: float
    created_at: datetime
    heard_at: datetime | None

    @property
    def outgoing(self) -> Outgoing:
        """The whole message, before it is cut."""
        said = with_sources(self.text, self.citations, self.language)
        template, choices = self.detail.get("template"), self.detail.get("choices")
        return Outgoing(
            message=self.message, to=self.external_id, phone=self.phone, reference="",
            # What was sent without words shows its form in the transcript, not on the telephone.
            text="" if self.detail.get("wordless") else said,
            enclosure=_enclosure(self.detail.get("attachment")),
            template=template if isinstance(template, dict) else None,
            choices=tuple(map(str, choices)) if isinstance(choices, list) else (),
            reply_to=self.detail.get("reply_to"),
        )  # fmt: skip

    def reference(self, part: int, parts: int) -> str:
        """What the provider is to give back with each status of a part."""
        return str(Reference(self.message, self.round, part, parts))

    def outlived(self, now: datetime) -> bool:
        """Whether it has been tried for long enough."""
        return now - self.created_at > LIFETIME


def pause_before(attempts: int, failure: NotSent, outcome_wait: float) -> float:
    """Seconds until the next try: doubling, spread by chance, never before the provider allows.

    Where the provider may have taken it, not before it had the time to tell.
    """
    pause = min(2.0 ** min(attempts, 20), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
    return max(pause, failure.after or 0.0, outcome_wait if failure.unsure else 0.0)


def described(failure: NotSent) -> dict[str, str]:
    """A failure as a message's detail tells it."""
    return {"code": failure.code, "reason": failure.reason[:500], "remedy": failure.remedy}


def _enclosure(told: Any) -> Enclosure | None:
    if not isinstance(told, dict) or not told.get("sha256"):
        return None
    return Enclosure(
        sha256=str(told["sha256"]), media_type=str(told.get("media_type", "")),
        name=str(told.get("name", "")), size=int(told.get("size") or 0),
    )  # fmt: skip
