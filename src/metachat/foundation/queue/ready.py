"""Lanes that want a worker: who has the fewest lanes at work is served first."""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Mapping
from uuid import UUID

Group = tuple[UUID | None, str]


class Ready:
    """Waiting lanes by tenant and sort, first come first served within; a bounded memory, not the truth.

    `at_once` bounds how many lanes of a sort are at work together.
    """

    def __init__(self, at_once: Mapping[str, int], capacity: int = 50_000) -> None:
        self._at_once = at_once
        self._capacity = capacity
        self._lanes: dict[Group, OrderedDict[str, None]] = {}
        self._served: Counter[Group] = Counter()
        self._turn = 0
        self._count = 0
        self._busy: Counter[UUID | None] = Counter()
        self._working: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._count

    def add(self, lane: str, tenant: UUID | None) -> None:
        """Note that a lane has work; what does not fit is left to the sweep."""
        if self._count < self._capacity:
            lanes = self._lanes.setdefault((tenant, sort_of(lane)), OrderedDict())
            self._count += lane not in lanes
            lanes.setdefault(lane)

    def take(self, count: int) -> dict[str, UUID | None]:
        """Remove up to `count` lanes that may be worked on, spread over the tenants by their work."""
        room = {sort: most - self._working[sort] for sort, most in self._at_once.items()}
        queue = [(self._busy[group[0]], self._served[group], str(group), group) for group in self._lanes]
        heapq.heapify(queue)
        taken: dict[str, UUID | None] = {}
        while queue and len(taken) < count:
            busy, _, name, group = heapq.heappop(queue)
            if room.get(group[1], 1) <= 0:
                continue
            lane, _ = self._lanes[group].popitem(last=False)
            taken[lane] = group[0]
            self._count -= 1
            self._turn += 1
            self._served[group] = self._turn
            if group[1] in room:
                room[group[1]] -= 1
            if self._lanes[group]:
                heapq.heappush(queue, (busy + 1, self._turn, name, group))
            else:
                del self._lanes[group], self._served[group]
        return taken

    def begin(self, lane: str, tenant: UUID | None) -> None:
        """Count a lane as at work."""
        self._busy[tenant] += 1
        self._working[sort_of(lane)] += 1

    def end(self, lane: str, tenant: UUID | None) -> None:
        """Count it as at work no longer."""
        self._busy[tenant] -= 1
        if not self._busy[tenant]:
            del self._busy[tenant]
        self._working[sort_of(lane)] -= 1

    def full(self) -> list[str]:
        """The sorts of lanes that have all their places taken."""
        return [sort for sort, most in self._at_once.items() if self._working[sort] >= most]

    def others_wait(self, tenant: UUID | None) -> bool:
        """Tell whether another tenant with less at work could use a place."""
        mine, full = self._busy[tenant], self.full()
        return any(
            self._busy[other] < mine and sort not in full for other, sort in self._lanes if other != tenant
        )


def sort_of(lane: str) -> str:
    """The sort of a lane is its name up to the first colon: "conversation", "document"."""
    return lane.partition(":")[0]
