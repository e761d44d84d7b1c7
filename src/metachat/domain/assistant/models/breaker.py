"""Circuit breakers: a model that keeps failing is left alone for a while, so that nobody waits for it.

closed: it is asked. open: it rests. half open: its rest is over, and one question tries it.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from metachat.foundation.ids import TenantId

State = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class Habits:
    """When a breaker opens, and for how long; times in seconds.

    It opens when at least `failures` of the calls within `window` failed, and they are at least half of
    them. Each rest in a row is twice as long as the one before.
    """

    failures: int = 5
    window: float = 60.0
    rest: float = 15.0
    longest_rest: float = 300.0
    remembered: int = 20


@dataclass(slots=True)
class Breaker:
    """The one breaker before one model's endpoint; `clock` gives seconds."""

    habits: Habits
    clock: Callable[[], float]
    _calls: deque[tuple[float, bool]] = field(init=False)
    _rests: int = 0
    _until: float | None = None
    _trying: bool = False

    def __post_init__(self) -> None:
        """Remember nothing yet."""
        self._calls = deque(maxlen=self.habits.remembered)

    @property
    def state(self) -> State:
        """Whether the model is asked now."""
        if self._until is None:
            return "closed"
        return "open" if self.clock() < self._until else "half_open"

    @property
    def rests_for(self) -> float:
        """Seconds until the model may be asked again; 0 when it may be now."""
        return 0.0 if self._until is None else max(0.0, self._until - self.clock())

    def admit(self) -> bool:
        """Tell whether to ask now; a half open breaker lets one question through at a time."""
        state = self.state
        if state == "closed":
            return True
        if state == "open" or self._trying:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """Note an answer."""
        self._calls.append((self.clock(), True))
        if self._until is not None:
            self._calls.clear()
            self._until, self._rests, self._trying = None, 0, False

    def failed(self) -> None:
        """Note a failure, and rest when there are too many."""
        now = self.clock()
        self._calls.append((now, False))
        recent = [answered for at, answered in self._calls if now - at <= self.habits.window]
        failures = recent.count(False)
        tried, self._trying = self._trying, False
        if tried or (
            self._until is None and failures >= self.habits.failures and 2 * failures >= len(recent)
        ):
            self._until = now + min(self.habits.rest * 2.0**self._rests, self.habits.longest_rest)
            self._rests = min(self._rests + 1, 30)

    def let_go(self) -> None:
        """Note that a question ended without telling anything about the model."""
        self._trying = False


Key = tuple[TenantId | None, str, str]


class Breakers:
    """The breakers of a process by tenant, provider and endpoint; as many as fit, the least used go first.

    A model that never failed has none.
    """

    def __init__(
        self,
        habits: Habits = Habits(),
        capacity: int = 2_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._habits = habits
        self._capacity = capacity
        self._clock = clock
        self._breakers: OrderedDict[Key, Breaker] = OrderedDict()

    def __len__(self) -> int:
        return len(self._breakers)

    def find(self, key: Key) -> Breaker | None:
        """The breaker before a model; None when it has not failed lately."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            self._breakers.move_to_end(key)
        return breaker

    def fail(self, key: Key) -> Breaker:
        """Note a failure of a model."""
        breaker = self.find(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker(self._habits, self._clock)
            while len(self._breakers) > self._capacity:
                self._breakers.popitem(last=False)
        breaker.failed()
        return breaker
