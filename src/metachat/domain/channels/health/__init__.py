"""Whether providers still deliver to a channel: its traffic, and findings when it falls silent."""

from metachat.domain.channels.health.actions import (
    KNOCK,
    findings_everywhere,
    follow,
    follow_minutely,
    last_update_of,
    open_findings,
    resolve,
)
from metachat.domain.channels.health.model import Finding, Silence, Traffic, is_silent

__all__ = [
    "KNOCK",
    "Finding",
    "Silence",
    "Traffic",
    "findings_everywhere",
    "follow",
    "follow_minutely",
    "is_silent",
    "last_update_of",
    "open_findings",
    "resolve",
]
