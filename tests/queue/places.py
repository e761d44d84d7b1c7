"""A worker's places, for tests that run its jobs themselves."""

from collections.abc import Sequence
from uuid import UUID

from metachat.foundation.queue import Job


class Places:
    """A worker with a place for whatever comes next, or for nothing; it keeps what it is to begin."""

    lease = 60.0

    def __init__(self, *, free: bool, calm: bool = True) -> None:
        self.free = free
        self.calm = calm
        self.begun: list[Job] = []

    def keep(self, sort: str, tenant: UUID | None, count: int) -> int:
        """Keep all that is asked for, or none."""
        return count if self.free else 0

    def fill(self, sort: str, tenant: UUID | None, kept: int, jobs: Sequence[Job]) -> None:
        """Note what begins."""
        assert len(jobs) <= kept
        self.begun += jobs

    def doubt(self) -> None:
        """Every outcome is known here."""
        raise AssertionError("nothing was in doubt")
