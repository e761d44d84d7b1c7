"""How much one visitor and one address may ask."""

from dataclasses import dataclass

from metachat.foundation.rates import Rate, TooFast

__all__ = ["Limits", "Rate", "TooFast"]

_SESSIONS, _REQUESTS, _MESSAGES = Rate(60, 1), Rate(300, 50), Rate(15, 1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the chat's door; those of streams are for each process, since a process holds them."""

    sessions_per_address: Rate = _SESSIONS
    requests_per_address: Rate = _REQUESTS
    messages_per_visitor: Rate = _MESSAGES
    streams_per_visitor: int = 8
    streams: int = 12_000
