"""How many messages Meta takes: per number, and per pair of number and person."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from metachat.simulate.errors import GraphError

_PAIRS = 50_000


@dataclass(frozen=True, slots=True)
class Rates:
    """The limits in force; Meta's own by default: 80 a second, 45 at once to one person, then one in 6 s."""

    number_per_second: float = 80.0
    pair_burst: int = 45
    pair_seconds: float = 6.0


class Limits:
    """Token buckets, kept as the moment at which a bucket will be full again."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def change(self, rates: Rates) -> None:
        """Begin anew with other limits."""
        self.rates = rates
        self._full_at.clear()

    def take(self, number: str, wa_id: str) -> None:
        """Count one message; raises GraphError 130429 or 131056, and then nothing is counted."""
        rates, now = self.rates, time.monotonic()
        pair = f"{number}:{wa_id}"
        pair_full = self._after(pair, now, rates.pair_seconds)
        if pair_full - now > rates.pair_burst * rates.pair_seconds + 1e-9:
            raise GraphError(131056)
        number_full = self._after(number, now, 1 / rates.number_per_second)
        if number_full - now > 1 + 1e-9:
            raise GraphError(130429)
        self._full_at[pair], self._full_at[number] = pair_full, number_full
        self._full_at.move_to_end(pair)
        self._full_at.move_to_end(number)
        while len(self._full_at) > _PAIRS:
            self._full_at.popitem(last=False)

    def _after(self, key: str, now: float, cost: float) -> float:
        return max(self._full_at.get(key, now), now) + cost
