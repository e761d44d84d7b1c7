"""How often something may be asked: counted here at once, and in Postgres together with all other processes.

No request waits for the database. A process decides by what it knows, tells what it let through in batches a
moment later, and learns by the same statement what the others did. So all processes together let through the
burst, and besides at most what each of them had not told yet.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Kind, Refusal

# What was let through is told after so long, or at once when it is this part of a burst.
_TELL_AFTER = 0.05
_PART = 8

# Under a flood of keys, this many are remembered; those that are full again are forgotten first.
_CAPACITY = 20_000
_TIDY_EVERY = 60.0
_PATIENCE = 2.0

# `full_at` is when a key's burst will be whole again: each request moves it by what one request costs. The
# order of keys keeps two processes from waiting for each other.
_TELL = """
INSERT INTO rate_levels AS known (key, full_at)
SELECT key, now() + make_interval(secs => cost)
FROM unnest(:keys::bytea[], :costs::float8[]) AS told (key, cost) ORDER BY key
ON CONFLICT (key) DO UPDATE
SET full_at = greatest(known.full_at, now()) + (excluded.full_at - now())
RETURNING key, extract(epoch FROM full_at - now())::float8 AS missing
"""
_TIDY = """
DELETE FROM rate_levels WHERE key IN
  (SELECT key FROM rate_levels WHERE full_at < now() LIMIT 1000 FOR UPDATE SKIP LOCKED)
"""


class TooFast(Refusal):
    """That was a lot at once; please wait a moment."""

    code, kind = "too_many_requests", Kind.THROTTLED


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many a second after that."""

    burst: float
    per_second: float

    @property
    def window(self) -> float:
        """Seconds until a burst that was used up is whole again."""
        return self.burst / self.per_second


@dataclass(frozen=True, slots=True)
class Standing:
    """How a caller stands with one limit: what is left of the burst, and seconds until it is whole again."""

    name: str
    rate: Rate
    left: int
    whole_in: float


@dataclass(slots=True)
class _Level:
    """What is known of one key: by this process's clock, and what was not told to the others yet."""

    cost: float
    full_at: float
    untold: int = 0


class Rates:
    """The limits of one process, shared with all others on its database."""

    def __init__(self, database: Database, salt: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing used; the salt keeps addresses out of the database."""
        self._database = database
        self._salt = hashlib.sha256(salt).digest()
        self._clock = clock
        self._levels: dict[str, _Level] = {}
        self._telling: asyncio.Task[None] | None = None
        self._urgent = asyncio.Event()
        self._tidy_at = 0.0

    def take(self, name: str, rate: Rate, key: str) -> Standing:
        """Use one of a limit; raises TooFast with the seconds to wait."""
        now, cost = self._clock(), 1 / rate.per_second
        level = self._levels.get(place := f"{name} {key}")
        if level is None:
            self._make_room(now)
            level = self._levels[place] = _Level(cost, now)
        missing = max(0.0, level.full_at - now) + cost
        if missing > rate.window * (1 + 1e-9):
            raise TooFast(retry_after=round(missing - rate.window, 3))
        level.full_at = now + missing
        level.untold += 1
        if level.untold >= rate.burst / _PART:
            self._urgent.set()
        self._tell_soon()
        return Standing(name, rate, max(0, math.floor((rate.window - missing) / cost + 1e-9)), missing)

    async def close(self) -> None:
        """Tell what was not told yet."""
        if self._telling is not None:
            self._urgent.set()
            await self._telling

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        """Tell the others until nothing is left to tell; while the database is away, each counts alone."""
        try:
            while any(level.untold for level in self._levels.values()):
                try:
                    async with asyncio.timeout(_TELL_AFTER):
                        await self._urgent.wait()
                except TimeoutError:
                    pass
                self._urgent.clear()
                await self._share()
        finally:
            self._telling = None

    async def _share(self) -> None:
        told = {place: level.untold for place, level in self._levels.items() if level.untold}
        for place in told:
            self._levels[place].untold = 0
        places = {self._hidden(place): place for place in told}
        costs = [self._levels[place].cost * told[place] for place in places.values()]
        try:
            async with asyncio.timeout(_PATIENCE), self._database.statement() as db:
                rows = await db.all(_TELL, keys=list(places), costs=costs)
                if self._tidy_at < (now := self._clock()):
                    self._tidy_at = now + _TIDY_EVERY
                    await db.execute(_TIDY)
        except (DatabaseAway, TimeoutError):
            return
        for row in rows:
            self._learn(places[row["key"]], row["missing"])

    def _learn(self, place: str, missing: float) -> None:
        level = self._levels.get(place)
        if level is not None:
            level.full_at = self._clock() + missing + level.cost * level.untold

    def _hidden(self, place: str) -> bytes:
        return hashlib.blake2b(place.encode(), key=self._salt, digest_size=16).digest()

    def _make_room(self, now: float) -> None:
        if len(self._levels) < _CAPACITY:
            return
        in_use = {place: one for place, one in self._levels.items() if one.full_at > now or one.untold}
        # When all are in use, those go that are whole again soonest: memory stays bounded.
        soonest = sorted(in_use, key=lambda place: in_use[place].full_at)
        for place in soonest[: max(0, len(in_use) - _CAPACITY // 2)]:
            del in_use[place]
        self._levels = in_use


def headers(standings: Iterable[Standing]) -> list[tuple[bytes, bytes]]:
    """How limits are told to callers: RateLimit-Policy and RateLimit (IETF httpapi-ratelimit-headers)."""
    known = list(standings)
    if not known:
        return []
    policies = ", ".join(
        f'"{one.name}";q={math.floor(one.rate.burst)};w={math.ceil(one.rate.window)}' for one in known
    )
    levels = ", ".join(f'"{one.name}";r={one.left};t={math.ceil(one.whole_in)}' for one in known)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", levels.encode())]
