"""The inbox: what providers delivered, kept as it came, before anybody has understood it."""

from metachat.domain.channels.inbox.model import Post, Row, Update, UpdateKind, hashed_key, lane_of
from metachat.domain.channels.inbox.store import (
    KEPT_DAYS,
    TAKEN_AT_ONCE,
    ask_again,
    forget_old,
    mark,
    replay,
    take_in,
    waiting,
)

__all__ = [
    "KEPT_DAYS",
    "TAKEN_AT_ONCE",
    "Post",
    "Row",
    "Update",
    "UpdateKind",
    "ask_again",
    "forget_old",
    "hashed_key",
    "lane_of",
    "mark",
    "replay",
    "take_in",
    "waiting",
]
