"""Keeps the database, the api processes and the worker running until it is told to stop."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from metachat.operations.local.children import Child
from metachat.operations.local.postgres import Cluster, PostgresFailed
from metachat.operations.local.state import Running, State

# Whoever does not finish in this time is ended; nothing acknowledged is lost by it.
DRAIN_SECONDS = 20.0

_LOG_LIMIT = 16 * 1024 * 1024
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """The children and their database; `watch` returns when a signal asks to stop."""

    def __init__(self, cluster: Cluster, data: Path, address: str, say: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._data = data
        self._address = address
        self._say = say
        self._children: list[Child] = []
        self._database_restarts = 0
        self._signals = 0

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take the stop signals over; a signal or a dead child wakes us up."""
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = {number: signal.signal(number, self._asked) for number in _STOPPING}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wake)

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._signals > 0

    def add(self, child: Child) -> None:
        """Start a child and keep it running."""
        child.start()
        self._children.append(child)

    def watch(self) -> None:
        """Restart whatever dies, until somebody asks to stop."""
        self.save()
        while not self.stopping:
            self.step(timeout=60)

    def step(self, timeout: float) -> None:
        """Wait for something to happen, at most this long, and act on it."""
        due = [child.due for child in self._children if child.due is not None]
        patience = min([timeout, *(max(0.0, when - time.monotonic()) for when in due)])
        self._sleep(patience)
        if self.stopping:
            return
        changed = self._restart_database()
        for child in self._children:
            told = child.ended()
            if told is not None:
                self._say(told)
                changed = True
            changed = child.restart_if_due() or changed
            _shorten(child.log)
        _shorten(self._cluster.log)
        if changed:
            self.save()

    def stop(self) -> None:
        """Drain the children, then stop the database; a second signal ends the draining."""
        already = self._signals
        for child in self._children:
            child.ask_to_stop()
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._alive() and time.monotonic() < deadline and self._signals <= max(1, already):
            self._sleep(min(1.0, deadline - time.monotonic()))
        for name in self._alive():
            self._say(f"{name} did not finish in time and is ended; its work is taken up at the next start")
        for child in self._children:
            child.kill()
        self._cluster.stop()

    def failures(self) -> list[Child]:
        """Tell which children have died already, without a minute of peace since."""
        return [child for child in self._children if child.restarts + (child.due is not None) > 2]

    def save(self) -> None:
        """Write down what runs, for `metachat status`."""
        process = self._cluster.process
        database = Running("postgres", None if process is None else process.pid, self._database_restarts)
        children = tuple(Running(child.name, child.pid, child.restarts) for child in self._children)
        State(self._address, os.getpid(), str(self._cluster.home), (database, *children)).save(self._data)

    def _restart_database(self) -> bool:
        process = self._cluster.process
        if process is None or process.poll() is None:
            return False
        self._say(f"postgres (process {process.pid}) ended with code {process.returncode}; starting it again")
        self._database_restarts += 1
        try:
            self._cluster.start()
        except PostgresFailed as failure:
            # Its process is gone, so nobody would look again: everything stops, and says why.
            self._say(f"{failure.sentence} {failure.detail}")
            self._signals += 1
        return True

    def _asked(self, number: int, frame: object) -> None:
        self._signals += 1

    def _alive(self) -> list[str]:
        return [c.name for c in self._children if c.process is not None and c.process.poll() is None]

    def _sleep(self, seconds: float) -> None:
        nothing: list[int] = []
        select.select([self._woken], nothing, nothing, max(0.0, seconds))
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)


def _shorten(log: Path) -> None:
    """Move a long log aside; its writers append, so that emptying it is enough."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.with_suffix(".log.1").write_bytes(log.read_bytes())
            os.truncate(log, 0)
