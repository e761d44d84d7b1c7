"""Lanes that want a worker: who has the fewest lanes at work is served first."""

import heapq
from collections import Counter, OrderedDict
from uuid import UUID


class Ready:
    """Waiting lanes by tenant, first come first served within one; a bounded memory, not the truth."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._capacity = capacity
        self._lanes: dict[UUID | None, OrderedDict[str, None]] = {}
        self._served: Counter[UUID | None] = Counter()
        self._turn = 0
        self._count = 0
        self.busy: Counter[UUID | None] = Counter()
        self.overflowed = False

    def __len__(self) -> int:
        return self._count

    def add(self, lane: str, tenant: UUID | None) -> None:
        """Note that a lane has work; the sweep finds what does not fit."""
        if self._count >= self._capacity:
            self.overflowed = True
            return
        lanes = self._lanes.setdefault(tenant, OrderedDict())
        self._count += lane not in lanes
        lanes.setdefault(lane)

    def take(self, count: int) -> dict[str, UUID | None]:
        """Remove up to `count` lanes, spread over the tenants by what each has at work."""
        queue = [(self.busy[tenant], self._served[tenant], str(tenant), tenant) for tenant in self._lanes]
        heapq.heapify(queue)
        taken: dict[str, UUID | None] = {}
        while queue and len(taken) < count:
            busy, _, name, tenant = heapq.heappop(queue)
            lane, _ = self._lanes[tenant].popitem(last=False)
            taken[lane] = tenant
            self._count -= 1
            self._turn += 1
            self._served[tenant] = self._turn
            if self._lanes[tenant]:
                heapq.heappush(queue, (busy + 1, self._turn, name, tenant))
            else:
                del self._lanes[tenant], self._served[tenant]
        return taken

    def others_wait(self, tenant: UUID | None) -> bool:
        """Tell whether another tenant with less at work waits for a place."""
        mine = self.busy[tenant]
        return any(self.busy[other] < mine for other in self._lanes if other != tenant)
