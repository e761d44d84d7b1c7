"""Providers' limits, kept by all workers together: generic cell rate algorithm, its state in the database."""

import time
from collections import Counter
from collections.abc import Sequence

from metachat.domain.channels import Pace
from metachat.domain.conversations.deliveries import store
from metachat.domain.conversations.deliveries.gathering import Gathering
from metachat.foundation.db import Database, Transaction

# How far ahead a place in the queue before a limit is told; whoever comes then asks again.
_HORIZON = 60.0
_REMEMBERED = 10_000


class Pacer:
    """Asks for every message of this worker that waits at the same time at once: one row change a limit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathering: Gathering[tuple[Pace, ...], float] = Gathering(self._take)
        self._promised: dict[str, float] = {}

    async def take(self, paces: tuple[Pace, ...]) -> float:
        """Count a message against all of its limits: 0 when it may go, else the seconds until it may.

        A message that may not go counts against none.
        """
        return await self._gathering.add(paces) if paces else 0.0

    async def _take(self, asked: Sequence[tuple[Pace, ...]]) -> list[float]:
        wanted = Counter(pace.key for paces in asked for pace in paces)
        limits = {pace.key: pace for paces in asked for pace in paces}
        async with self._database.transaction() as db:
            rows = await db.all(
                store.TAKE,
                keys=list(limits), wanted=[wanted[key] for key in limits],
                pauses=[pace.interval for pace in limits.values()],
                bursts=[pace.burst for pace in limits.values()],
            )  # fmt: skip
            left = {row["key"]: row["granted"] for row in rows}
            wait = {row["key"]: row["wait"] for row in rows}
            outcomes = [self._share(paces, left, wait) for paces in asked]
            await _give_back(db, left)
        return outcomes

    def _share(self, paces: tuple[Pace, ...], left: dict[str, int], wait: dict[str, float]) -> float:
        missing = [pace for pace in paces if left[pace.key] <= 0]
        if missing:
            return max(self._place(pace, wait[pace.key]) for pace in missing)
        for pace in paces:
            left[pace.key] -= 1
        return 0.0

    def _place(self, pace: Pace, wait: float) -> float:
        # Those who wait get places one behind the other, so that they don't all come back at once.
        now = time.monotonic()
        if len(self._promised) > _REMEMBERED:
            self._promised = {key: at for key, at in self._promised.items() if at > now}
        at = max(now + max(wait, 0.001), self._promised.get(pace.key, 0.0))
        self._promised[pace.key] = min(at + pace.interval, now + _HORIZON)
        return min(at - now, _HORIZON)


async def _give_back(db: Transaction, left: dict[str, int]) -> None:
    for key, count in left.items():
        if count > 0:
            await db.execute(store.GIVE_BACK, key=key, count=count)
