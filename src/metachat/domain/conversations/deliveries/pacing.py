"""Providers' limits, kept by all workers together: generic cell rate algorithm, its state in the database."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from metachat.domain.channels import Pace
from metachat.domain.conversations.deliveries import store
from metachat.foundation.db import Database
from metachat.foundation.gathering import Gathering

# How long before its time a place is given: so long its message is held ready.
AHEAD = 1.0
# How far ahead a place in the queue before a limit is told; whoever comes then asks again.
_HORIZON = 60.0
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """When a message may go: in `wait` seconds, or, where it was given no place, when to ask again."""

    given: bool
    wait: float = 0.0


@dataclass(slots=True)
class _Row:
    """One limit in one batch: when its next place comes, in seconds from now, and how many are left."""

    next: float
    left: int

    def take(self, pause: float) -> float:
        self.left -= 1
        self.next += pause
        return self.next - pause


class Pacer:
    """Asks for every message of this worker that waits at the same time at once: one row change a limit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[tuple[Pace, ...], Place] = Gathering(self._take)
        self._promised: dict[str, float] = {}

    async def take(self, paces: tuple[Pace, ...]) -> Place:
        """Count a message against all of its limits; one that is given no place counts against none."""
        return await self._gathering.add(paces) if paces else Place(given=True)

    async def _take(self, asked: Sequence[tuple[Pace, ...]]) -> list[Place]:
        wanted = Counter(pace.key for paces in asked for pace in paces)
        limits = {pace.key: pace for paces in asked for pace in paces}
        async with self._database.statement() as db:
            rows = await db.all(
                store.TAKE,
                keys=list(limits), wanted=[wanted[key] for key in limits], ahead=AHEAD,
                pauses=[pace.interval for pace in limits.values()],
                bursts=[pace.burst for pace in limits.values()],
            )  # fmt: skip
        state = {row["key"]: _Row(row["wait"], row["granted"]) for row in rows}
        places = [self._share(paces, state) for paces in asked]
        if unused := {key: row.left for key, row in state.items() if row.left}:
            await self._give_back(unused)
        return places

    def _share(self, paces: tuple[Pace, ...], state: dict[str, _Row]) -> Place:
        missing = [pace for pace in paces if not state[pace.key].left]
        if missing:
            return Place(False, max(self._later(pace, state[pace.key].next) for pace in missing))
        return Place(True, max(0.0, *(state[pace.key].take(pace.interval) for pace in paces)))

    def _later(self, pace: Pace, wait: float) -> float:
        # Those who get none come back one after the other, not all at once.
        now = time.monotonic()
        if len(self._promised) > _REMEMBERED:
            self._promised = {key: at for key, at in self._promised.items() if at > now}
        at = max(now + max(wait, 0.001), self._promised.get(pace.key, 0.0))
        self._promised[pace.key] = min(at + pace.interval, now + _HORIZON)
        return min(at - now, _HORIZON)

    async def _give_back(self, unused: dict[str, int]) -> None:
        async with self._database.statement() as db:
            await db.execute(store.GIVE_BACK, keys=list(unused), counts=list(unused.values()))
