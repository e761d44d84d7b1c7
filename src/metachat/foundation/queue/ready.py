"""Lanes that want a worker: who has the fewest lanes at work is served first."""

import heapq
import sys
from collections import Counter, OrderedDict
from collections.abc import Mapping
from uuid import UUID

Group = tuple[UUID | None, str]


class Ready:
    """Waiting lanes by tenant and sort, first come first served within; a bounded memory, not the truth.

    `at_once` bounds how many lanes of a sort are at work together, `places` how many in all. Of the places
    that the other tenants leave, a tenant takes at most nine in ten: however long its work takes, somebody
    else's finds a place at once.
    """

    def __init__(self, at_once: Mapping[str, int], capacity: int = 50_000, places: int = sys.maxsize) -> None:
        self._at_once = at_once
        self._capacity = capacity
        self._places = places
        self._lanes: dict[Group, OrderedDict[str, None]] = {}
        self._served: Counter[Group] = Counter()
        self._turn = 0
        self._count = 0
        self._busy: Counter[UUID | None] = Counter()
        self._working: Counter[str] = Counter()
        self._held: Counter[Group] = Counter()

    def __len__(self) -> int:
        return self._count

    def add(self, lane: str, tenant: UUID | None) -> bool:
        """Note that a lane has work; tells whether that was new. What does not fit is left to the sweep."""
        if self._count >= self._capacity:
            return False
        lanes = self._lanes.setdefault((tenant, sort_of(lane)), OrderedDict())
        if lane in lanes:
            return False
        lanes[lane] = None
        self._count += 1
        return True

    def take(self, count: int) -> dict[str, UUID | None]:
        """Remove up to `count` lanes that may be worked on, spread over the tenants by their work."""
        queue = [(self._busy[group[0]], self._served[group], str(group), group) for group in self._lanes]
        heapq.heapify(queue)
        taken: dict[str, UUID | None] = {}
        while queue and len(taken) < count:
            busy, _, name, group = heapq.heappop(queue)
            if not self.has_room(*group):
                continue
            lane, _ = self._lanes[group].popitem(last=False)
            taken[lane] = group[0]
            self._count -= 1
            self._turn += 1
            self._served[group] = self._turn
            self.begin(lane, group[0])
            if self._lanes[group]:
                heapq.heappush(queue, (busy + 1, self._turn, name, group))
            else:
                del self._lanes[group], self._served[group]
        for lane, tenant in taken.items():
            self.end(lane, tenant)
        return taken

    def has_room(self, tenant: UUID | None, sort: str) -> bool:
        """Tell whether one more lane of a sort may begin for a tenant."""
        if sort in self._at_once:
            return _may_begin(self._at_once[sort], self._working[sort], self._held[tenant, sort])
        return _may_begin(self._places, self._working.total(), self._busy[tenant])

    def begin(self, lane: str, tenant: UUID | None) -> None:
        """Count a lane as at work."""
        sort = sort_of(lane)
        self._busy[tenant] += 1
        self._working[sort] += 1
        self._held[tenant, sort] += 1

    def end(self, lane: str, tenant: UUID | None) -> None:
        """Count it as at work no longer."""
        sort = sort_of(lane)
        self._busy[tenant] -= 1
        if not self._busy[tenant]:
            del self._busy[tenant]
        self._working[sort] -= 1
        self._held[tenant, sort] -= 1
        if not self._held[tenant, sort]:
            del self._held[tenant, sort]

    def full(self) -> list[str]:
        """The sorts of lanes that have all their places taken."""
        return [sort for sort, most in self._at_once.items() if self._working[sort] >= most]

    def others_wait(self, lane: str, tenant: UUID | None) -> bool:
        """Tell whether another tenant with less at work could use the place of a lane that works."""
        mine, full = self._busy[tenant], set(self.full()) - {sort_of(lane)}
        return any(
            self._busy[other] < mine and sort not in full for other, sort in self._lanes if other != tenant
        )


def _may_begin(places: int, taken: int, mine: int) -> bool:
    """Tell whether one more of these places may go to someone who has taken some of them."""
    left_by_others = places - (taken - mine)
    return mine < left_by_others - left_by_others // 10


def sort_of(lane: str) -> str:
    """The sort of a lane is its name up to the first colon: "conversation", "document"."""
    return lane.partition(":")[0]
