"""Whether providers still deliver to a channel: its traffic, and findings when it falls silent."""

from metachat.domain.channels.health.actions import (
    KNOCK,
    SILENT,
    end_trouble,
    findings_everywhere,
    follow,
    follow_minutely,
    last_heard,
    last_update_of,
    note_trouble,
    open_findings,
    receipt,
    resolve,
)
from metachat.domain.channels.health.model import Finding, Silence, Traffic, is_silent

__all__ = [
    "KNOCK",
    "SILENT",
    "Finding",
    "Silence",
    "Traffic",
    "end_trouble",
    "findings_everywhere",
    "follow",
    "follow_minutely",
    "is_silent",
    "last_heard",
    "last_update_of",
    "note_trouble",
    "open_findings",
    "receipt",
    "resolve",
]
