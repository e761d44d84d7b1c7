"""`metachat status`: what runs, and what it takes."""

import contextlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from metachat.operations.local import folder
from metachat.operations.local.state import Running, check_health, read


@dataclass(frozen=True, slots=True)
class Measured:
    """One process and what it takes, in bytes and seconds.

    rss counts memory that is shared with other processes in each of them, pss shares it out.
    """

    name: str
    pid: int | None
    rss: int
    pss: int
    uptime: float
    restarts: int


@dataclass(frozen=True, slots=True)
class Status:
    """What `metachat status` tells."""

    address: str
    healthy: bool
    health: str
    data: str
    data_bytes: int
    processes: tuple[Measured, ...]

    def as_json(self) -> dict[str, Any]:
        """The same for programs, with the sums."""
        others = [p for p in self.processes if p.name != "postgres"]
        sums = {
            "rss": sum(p.rss for p in self.processes),
            "pss": sum(p.pss for p in self.processes),
            "rss_without_postgres": sum(p.rss for p in others),
            "pss_without_postgres": sum(p.pss for p in others),
        }
        return {"running": True, **asdict(self), "memory": sums}


def look(data: Path) -> Status:
    """Look at what runs on a data folder; raises NothingRuns."""
    state = read(data)
    supervisor = Running("supervisor", state.supervisor, 0)
    healthy, health = check_health(state.address)
    return Status(
        address=state.address,
        healthy=healthy,
        health=health,
        data=str(data),
        data_bytes=folder.size(data) + _size_elsewhere(data, Path(state.database_folder)),
        processes=tuple(_measure(running) for running in (supervisor, *state.processes)),
    )


def _size_elsewhere(data: Path, database: Path) -> int:
    return 0 if database.is_relative_to(data) else folder.size(database)


def _measure(running: Running) -> Measured:
    rss = pss = 0
    uptime = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        if running.pid is not None:
            process = psutil.Process(running.pid)
            uptime = time.time() - process.create_time()
            # The supervisor's children are listed by themselves; Postgres's belong to it.
            family = (
                [process] if running.name == "supervisor" else [process, *process.children(recursive=True)]
            )
            for member in family:
                rss, pss = rss + member.memory_info().rss, pss + _share(member)
    return Measured(running.name, running.pid, rss, pss, round(uptime, 1), running.restarts)


def _share(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
