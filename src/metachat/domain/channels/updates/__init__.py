"""The updates that had no effect, looked at and understood again; and those that a paused channel holds."""

from metachat.domain.channels.updates.actions import (
    count_held,
    find,
    list_updates,
    reasons,
    replay,
    replay_all,
    wake_held,
)
from metachat.domain.channels.updates.model import Reason, Replayed, UpdateNotFound, UpdateRow, UpdateWaits

__all__ = [
    "Reason",
    "Replayed",
    "UpdateNotFound",
    "UpdateRow",
    "UpdateWaits",
    "count_held",
    "find",
    "list_updates",
    "reasons",
    "replay",
    "replay_all",
    "wake_held",
]
