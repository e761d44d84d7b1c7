"""What runs: written by the supervisor, read by `metachat status`."""

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

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


def check_health(address: str, timeout: float = 5) -> tuple[bool, str]:
    """Ask `/health/ready`; tells whether it is well, and what it said."""
    parts = urlsplit(address)
    try:
        # By hand: the HTTP client of the library would bring TLS and 10 MB into the supervisor for good.
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout) as connection:
            connection.sendall(f"GET /health/ready HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
            line = connection.makefile("rb").readline(200).decode("latin-1").strip()
    except OSError as error:
        return False, f"no answer ({type(error).__name__})"
    status = line.partition(" ")[2]
    return status.startswith("200"), status or "an empty answer"
