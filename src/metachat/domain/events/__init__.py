"""What happened, written in the transaction of its cause and readable with a cursor."""

from metachat.domain.events.store import Event, read_after, record

__all__ = ["Event", "read_after", "record"]
