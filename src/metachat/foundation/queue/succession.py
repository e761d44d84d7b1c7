"""A job that adds the next one takes its lane in the same transaction: nobody has to claim it."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any

import msgspec

from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId
from metachat.foundation.queue.model import Job, Lease, Places
from metachat.foundation.queue.store import note_ended


class Succession:
    """Places that a worker keeps for the lanes of a transaction's next jobs, as many as it can spare.

    `count`, `owner` and `lease` (in seconds) are for the statement that takes the lanes.
    """

    def __init__(self, job: Job, sort: str, count: int) -> None:
        self.owner = job.lease.owner
        self._places: Places | None = job.lease.places
        self._sort = sort
        self._tenant: TenantId | None = job.tenant
        self.count = 0 if self._places is None else self._places.keep(sort, job.tenant, count)
        self.lease = 0.0 if self._places is None else self._places.lease
        self._settled = False

    def __enter__(self) -> "Succession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._places is None or self._settled:
            return
        self._places.fill(self._sort, self._tenant, self.count, ())
        if self.count and error is not None:
            self._places.doubt()

    def begin(self, db: Transaction, jobs: Sequence[Job]) -> None:
        """Begin the jobs whose lanes were taken, once that is durable."""
        places = self._places
        if places is None:
            return

        def fill() -> None:
            self._settled = True
            places.fill(self._sort, self._tenant, self.count, jobs)

        db.after_commit(fill)

    def job(
        self, id: int, kind: str, of: str, payload: dict[str, str], correlation: str | None, brought: str
    ) -> Job:
        """Describe a job as it was just added; its lane, of the sort and whose it is, was taken with it."""
        lane = f"{self._sort}:{of}"
        return Job(
            id=id, lane=lane, kind=kind, tenant=self._tenant, payload=payload, attempts=0, deaths=0,
            correlation_id=correlation, lease=Lease(lane, self.owner), brought=brought,
        )  # fmt: skip


def ending(jobs: Iterable[Job]) -> dict[str, list[int] | list[str]]:
    """What a statement is told of the jobs that it ends: their ids, and whose they are."""
    known = list(jobs)
    return {"endings": [job.id for job in known], "owners": list({job.lease.owner for job in known})}


def note_over(db: Transaction, jobs: Iterable[Job], rows: Iterable[Mapping[str, Any]]) -> set[int]:
    """Note what `end_jobs` told in one of these rows; gives the jobs that were completed."""
    told = next((row["ended"] for row in rows if row["ended"] is not None), "{}")
    left_of = _ended.decode(told)
    note_ended(db, jobs, left_of.keys(), {job for job, left in left_of.items() if left})
    return set(left_of)


_ended = msgspec.json.Decoder(dict[int, bool])
