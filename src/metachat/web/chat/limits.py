"""How much one visitor and one address may ask of a process; in memory, forgotten with it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from metachat.foundation.errors import Kind, Refusal


class TooFast(Refusal):
    """That was a lot at once; please wait a moment."""

    code, kind = "too_many_requests", Kind.THROTTLED


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second after that."""

    burst: float
    per_second: float


@dataclass(slots=True)
class Buckets:
    """One token bucket a key; those that are full again are forgotten."""

    rate: Rate
    clock: Callable[[], float] = time.monotonic
    capacity: int = 20_000
    _levels: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, key: str) -> None:
        """Use one; raises TooFast with the seconds to wait."""
        now = self.clock()
        level, at = self._levels.get(key, (self.rate.burst, now))
        level = min(self.rate.burst, level + (now - at) * self.rate.per_second)
        if level < 1:
            raise TooFast(retry_after=round((1 - level) / self.rate.per_second, 1))
        if len(self._levels) >= self.capacity:
            self._forget(now)
        self._levels[key] = (level - 1, now)

    def _forget(self, now: float) -> None:
        missing = {
            key: (level, at)
            for key, (level, at) in self._levels.items()
            if level + (now - at) * self.rate.per_second < self.rate.burst
        }
        # Under a flood of addresses that all are in use, the oldest half goes: memory stays bounded.
        oldest = sorted(missing, key=lambda key: missing[key][1])
        for key in oldest[: max(0, len(missing) - self.capacity // 2)]:
            del missing[key]
        self._levels = missing


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the chat's door."""

    sessions_per_address: Rate = Rate(60, 1)
    requests_per_address: Rate = Rate(300, 50)
    messages_per_visitor: Rate = Rate(15, 1)
    streams_per_visitor: int = 8
    streams: int = 12_000
