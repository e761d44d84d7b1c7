"""What runs: written by the supervisor, read by `metachat status`."""

import contextlib
import http.client
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.local import folder
from metachat.operations.local.folder import write

STATE_FILE = "up.json"


class NothingRuns(Refusal):
    """Nothing runs on this data folder; start it with `metachat up`."""

    code = "nothing_runs"
    kind = Kind.UNAVAILABLE


class StillRuns(Refusal):
    """It did not stop in time."""

    code = "still_runs"
    kind = Kind.UNAVAILABLE
    exit_code = 75  # EX_TEMPFAIL


@dataclass(frozen=True, slots=True)
class Running:
    """One process as the supervisor knows it; pid is None while it waits for its restart."""

    name: str
    pid: int | None
    restarts: int


@dataclass(frozen=True, slots=True)
class State:
    """Everything that one `metachat up` runs."""

    address: str
    supervisor: int
    database_folder: str
    processes: tuple[Running, ...]

    def save(self, data: Path) -> None:
        """Write it into the data folder."""
        write(data / STATE_FILE, json.dumps(asdict(self)) + "\n", 0o600)


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


def read(data: Path) -> State:
    """Read what runs on a data folder; raises NothingRuns."""
    if folder.holder(data) is None:
        raise NothingRuns(str(data))
    try:
        found = json.loads((data / STATE_FILE).read_text())
    except FileNotFoundError as error:
        raise NothingRuns(f"{data}: it is still starting") from error
    processes = tuple(Running(**process) for process in found.pop("processes"))
    return State(**found, processes=processes)


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


def check_health(address: str, timeout: float = 5) -> tuple[bool, str]:
    """Ask `/health/ready`; tells whether it is well, and what it said."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status == 200, f"{answer.status} {answer.reason}"
    except (OSError, http.client.HTTPException) as error:
        return False, f"no answer ({type(error).__name__})"
    finally:
        connection.close()


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
