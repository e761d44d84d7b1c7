"""What whoever carries the jobs must do; tests/queue/conformance proves it of each that there is."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId
from metachat.foundation.queue.model import Job, Limits
from metachat.foundation.queue.running import C, Handler


class Broker(Protocol):
    """Carries jobs from whoever enqueues them to whoever runs them.

    Enqueued with its cause: what is rolled back was never enqueued, what is committed is never lost, whether
    or not the process that wakes the workers lives on.
    Lanes: due jobs of a lane run one at a time in the order they were enqueued, over all workers of all
    hosts; lanes do not wait for each other.
    Leases: a worker that dies loses its lanes to another one; where nobody can know that it died, when its
    lease runs out. A job runs at least once; completed by `finish`, it takes effect exactly once.
    Failures: a job that fails runs again after a growing pause, its lane waiting; one that fails too often,
    gives up, or kills its worker again and again, is laid aside with its reason, and its lane goes on.
    Time: a job with `run_at` runs then and holds nobody up before.
    Fairness: a tenant's flood leaves places to the others. Draining: a worker that stops finishes what it
    runs, gives back the rest, and counts no attempt.
    """

    async def enqueue(
        self,
        db: Transaction,
        kind: str,
        payload: Mapping[str, Any],
        *,
        lane: str,
        tenant: TenantId | None,
        run_at: datetime | None = None,
        dedupe_key: str | None = None,
    ) -> None:
        """Add a job in the caller's transaction; none while one with its key waits to start."""
        ...

    async def debounce(
        self,
        db: Transaction,
        kind: str,
        payload: Mapping[str, Any],
        *,
        lane: str,
        tenant: TenantId | None,
        dedupe_key: str,
        quiet: float,
        longest: float,
    ) -> None:
        """Add a job that runs `quiet` seconds after the last such call, at most `longest` after the first."""
        ...

    async def finish(self, db: Transaction, job: Job) -> None:
        """Complete a job in the transaction of its effect: both or none; raises LeaseLost."""
        ...

    async def dead(
        self, db: Transaction, tenant: TenantId | None = None, *, after: int = 0, limit: int = 50
    ) -> list[dict[str, Any]]:
        """List jobs that were laid aside, oldest first, each with its error."""
        ...

    async def replay(self, db: Transaction, id: int) -> bool:
        """Put a job that was laid aside at the end of its lane again; False when there is no such job."""
        ...

    async def run(
        self, handlers: Mapping[str, Handler[C]], context: C, limits: Limits, stop: asyncio.Event
    ) -> None:
        """Be a worker until `stop`, then drain; the handler of a job's kind gets it with the context."""
        ...
