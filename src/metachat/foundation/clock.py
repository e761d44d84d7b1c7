"""The one place that reads the wall clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """Tell the time, aware and in UTC."""
    return datetime.now(UTC)
