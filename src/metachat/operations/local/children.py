"""Child processes: started in sessions of their own, restarted when they die, never outliving us."""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1

# Loaded here, since a child between fork and exec had better not load anything.
_prctl = ctypes.CDLL(None, use_errno=True).prctl

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0

# Whoever lived this long has earned a quick restart again.
STEADY = 60.0

# Whoever lived this long and ended well was asked to make way for another one, with other keys say.
MADE_WAY = 1.0


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Make a `preexec_fn` that asks the kernel to signal the child when its parent dies, even by kill -9.

    The kernel means the thread that started the child: start children from the main thread.
    """
    parent = os.getpid()

    def ask() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), number)

    return ask


@dataclass
class Child:
    """One process that is to run for as long as we do."""

    name: str
    argv: list[str]
    environment: Mapping[str, str]
    log: Path
    inherited: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    due: float | None = field(default=None)
    _delay: float = FIRST_DELAY

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return None if self.process is None else self.process.pid

    def start(self) -> None:
        """Start it, its output going to the end of its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(self.environment),
                pass_fds=self.inherited, start_new_session=True,
                # Nothing is lost by it: whatever counts is in the database before it is acknowledged.
                preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
        self.started, self.due = time.monotonic(), None

    def ended(self) -> str | None:
        """Tell how it ended, and plan its restart; None while it runs or waits for one."""
        if self.process is None or self.process.poll() is None:
            return None
        lived = time.monotonic() - self.started
        code = self.process.returncode
        how = f"{self.name} (process {self.process.pid}) {describe(code)}"
        self.kill()
        if code == 0 and lived > MADE_WAY:
            self._delay, self.due = FIRST_DELAY, time.monotonic()
            return f"{how} after {lived:.1f} s, as it was asked to; starting it again"
        self._delay = FIRST_DELAY if lived > STEADY else self._delay
        self.due = time.monotonic() + self._delay
        told = f"{how} after {lived:.1f} s; starting it again in {self._delay:g} s (see {self.log})"
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        return told

    def restart_if_due(self) -> bool:
        """Start it again when its delay is over; tells whether it did."""
        if self.due is None or time.monotonic() < self.due:
            return False
        self.restarts += 1
        self.start()
        return True

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it finishes what it has in hand and takes no more."""
        self.due = None
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End it, and whatever it started in its session, at once."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def last_lines(self, count: int = 8) -> str:
        """Read the end of its log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        return ""


def describe(code: int) -> str:
    """Say how a process ended, from its return code."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
