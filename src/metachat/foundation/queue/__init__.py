"""The queue: jobs enqueued in the transaction of their cause, run one after the other within a lane.

The database remembers, wake-ups only hurry: a lost, doubled or reordered one changes nothing.
A job runs at least once; with `finish` in the transaction of its effect, it takes effect exactly once.
"""

from metachat.foundation.queue.contract import Broker
from metachat.foundation.queue.lanes import Lanes
from metachat.foundation.queue.loop import Loop
from metachat.foundation.queue.model import (
    GiveUp,
    Job,
    LeaseLost,
    Limits,
    Postpone,
    Retry,
    owner_name,
    tenant_of,
)
from metachat.foundation.queue.running import Handler
from metachat.foundation.queue.store import dead, debounce, enqueue, finish, replay
from metachat.foundation.queue.succession import Succession, ending, note_over

__all__ = [
    "Broker",
    "GiveUp",
    "Handler",
    "Job",
    "Lanes",
    "LeaseLost",
    "Limits",
    "Loop",
    "Postpone",
    "Retry",
    "Succession",
    "dead",
    "debounce",
    "ending",
    "enqueue",
    "finish",
    "note_over",
    "owner_name",
    "replay",
    "tenant_of",
]
