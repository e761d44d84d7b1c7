"""What a job is, how it may fail, and who holds its lane."""

import asyncio
import itertools
import os
import random
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from metachat.foundation import redaction
from metachat.foundation.ids import TenantId

_PROCESS = secrets.token_hex(4)
_LOOPS = itertools.count(1)


class Places(Protocol):
    """A worker's places for lanes, kept for those that a handler is about to take with their first job."""

    @property
    def lease(self) -> float:
        """How long a lane is its worker's without a sign of life, in seconds."""
        ...

    @property
    def calm(self) -> bool:
        """Tell whether hardly anything is under way, so that a guess keeps nobody waiting."""
        ...

    def keep(self, sort: str, tenant: TenantId | None, count: int) -> int:
        """Keep up to so many places for lanes of a sort, behind those who wait; gives how many."""
        ...

    def fill(self, sort: str, tenant: TenantId | None, kept: int, jobs: Sequence["Job"]) -> None:
        """Begin these jobs, whose lanes are taken, in the places that were kept; the others are free."""
        ...

    def doubt(self) -> None:
        """Have it looked up which lanes are ours: nobody knows whether a transaction took some."""
        ...


@dataclass(slots=True)
class Lease:
    """A lane held by this worker; `finished` are the jobs that handlers completed themselves.

    `left` is set when the lane was left with the last of them. `news` is set when something was enqueued in
    the lane since the present job began: a hint that may get lost or come late. `places` are its worker's.
    """

    lane: str
    owner: str
    finished: set[int] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    left: bool = False
    places: Places | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work.

    `attempts` counts the runs before this one that failed. `deaths` weighs those that their worker did not
    survive: one for a death among many jobs, two where no other job can have been at fault. `brought` is what
    its cause has read for it already, in the transaction that took its lane for this worker.
    """

    id: int
    lane: str
    kind: str
    tenant: TenantId | None
    payload: dict[str, Any]
    attempts: int
    deaths: int
    correlation_id: str | None
    lease: Lease
    deduped: bool = False
    brought: str | None = None

    @property
    def calm(self) -> bool:
        """Tell whether its worker has hardly anything else to do."""
        return self.lease.places is not None and self.lease.places.calm


def tenant_of(job: Job) -> TenantId:
    """Whose job it is; only for work that is always somebody's."""
    assert job.tenant is not None, f"a job of kind {job.kind} has a tenant"
    return job.tenant


# From this weight of deaths on a job is a suspect, and runs alone among its like.
SUSPECT = 2


class Death(Enum):
    """How the last holder of a lane died on it."""

    NONE = "it did not"
    IN_COMPANY = "with other lanes in its hands"
    WATCHED = "with other lanes in its hands, whose jobs were not to blame or waited"
    ALONE = "with nothing else in its hands"

    def blame(self, deaths: int) -> int:
        """Weigh what it says against the lane's first job, which has so much against it already."""
        match self:
            case Death.ALONE:
                return 2
            case Death.WATCHED:
                return 1
            case Death.IN_COMPANY:
                return int(deaths < SUSPECT)  # a suspect that was not watched only waited to be
            case Death.NONE:
                return 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a worker takes on, and how patient it is; times in seconds."""

    in_flight: int = 200
    lease: float = 10
    heartbeat: float = 3
    sweep: float = 5
    attempts: int = 8
    deaths: int = 4  # by weight: a job that was alone when its worker died, twice, is laid aside
    watch: float = 30  # how long a job that its worker died at is watched; until then no other one begins
    first_pause: float = 1
    longest_pause: float = 300
    run_time: float = 3600
    drain: float = 20
    burst: int = 20  # jobs of one lane read at once
    # Lanes of a sort ("document") that work at once, so that slow ones leave places for quick ones.
    at_once: Mapping[str, int] = field(default_factory=dict)


class Retry(Exception):
    """The job failed and should run again, after `after` seconds or the usual back-off."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        self.after = after
        super().__init__(reason)


class Postpone(Exception):
    """The job cannot run yet and is not to blame: again after `after` seconds, counting no attempt."""

    def __init__(self, after: float) -> None:
        self.after = after
        super().__init__(f"postponed for {after} s")


class GiveUp(Exception):
    """The job can never succeed: it is laid aside at once, and its lane goes on."""


class LeaseLost(Exception):
    """The lane is another worker's by now, or the job is done already: undo and let go."""


def back_off(attempts: int, limits: Limits) -> float:
    """Seconds to wait after so many failures: doubling, and between half and all of it by chance."""
    pause = min(limits.first_pause * 2.0 ** min(attempts - 1, 30), limits.longest_pause)
    return pause * random.uniform(0.5, 1)  # noqa: S311  (spreads load; nobody gains by guessing it)


def host_name() -> str:
    """Name the set of processes whose ids we can judge: host, its boot, and the process namespace."""
    boot, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    parts = [socket.gethostname().replace(":", "_")]
    if boot.exists() and space.exists():
        parts += [boot.read_text()[:8], "".join(filter(str.isdigit, str(space.readlink())))]
    return ".".join(parts)


def owner_name(host: str | None = None) -> str:
    """Name one loop of this process for its leases; never the same twice."""
    return f"{host or host_name()}:{os.getpid()}:{_PROCESS}.{next(_LOOPS)}"


def is_dead(owner: str, me: str) -> bool:
    """Tell whether an owner on this host is surely gone (False when we cannot know)."""
    host, pid, start = owner.rsplit(":", 2)
    my_host, my_pid, my_start = me.rsplit(":", 2)
    if host != my_host:
        return False
    if pid == my_pid:  # another process had our number before us, or it is another loop of ours
        return start.partition(".")[0] != my_start.partition(".")[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def describe(error: BaseException) -> str:
    """Say what went wrong in at most 500 characters, without secrets."""
    text = f"{type(error).__name__}: {error}".replace("\x00", "")[:4000]
    return redaction.clean(text)[:500]
