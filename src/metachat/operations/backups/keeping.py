"""The process that keeps backups coming: log, canaries, full backups and drills."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from metachat.foundation import clock
from metachat.foundation.errors import Refusal
from metachat.foundation.settings import Settings
from metachat.operations.backups import archiving, canary, memory, pruning, taking
from metachat.operations.backups.canary import Canary
from metachat.operations.backups.contract import BackupRunning
from metachat.operations.backups.installation import Installation, find
from metachat.operations.local.children import die_with_parent

NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})

TICK = 1.0
_LONGEST_PAUSE = 60.0
_AGAIN = timedelta(hours=1)


class Keeper:
    """The loop; everything it knows is on disk or in the target, so that it may be killed at any time."""

    def __init__(
        self,
        installation: Installation,
        say: Callable[[str], None],
        environ: Mapping[str, str] = NO_ENVIRONMENT,
    ) -> None:
        """Look after an installation; environ is what its drills find."""
        self._installation = installation
        self._environ = environ
        self._spool = installation.spool
        self._cluster = installation.server.one("SELECT system_identifier FROM pg_control_system()")
        self._say = say
        self._stopped = threading.Event()
        self._waiting: list[Canary] = []
        self._canary_due = 0.0
        self._pause = 0.0

    def stop(self, *_: object) -> None:
        """End after what is in hand."""
        self._stopped.set()

    def run(self, keep: pruning.Keep, every: timedelta, drills: timedelta | None) -> None:
        """Keep everything coming until told to stop."""
        full = threading.Thread(target=self._fulls, args=(keep, every, drills), daemon=True)
        full.start()
        self.archive()

    def archive(self) -> None:
        """Keep the log and the canaries coming until told to stop."""
        while not self._stopped.is_set():
            self._stopped.wait(self._step())

    def _step(self) -> float:
        """Do what is due; tells how long to wait then, longer each time that it fails."""
        try:
            if time.monotonic() >= self._canary_due:
                self._waiting.append(canary.write(self._installation.server))
                self._canary_due = time.monotonic() + canary.SECONDS
            self.ship()
        except Refusal as refusal:
            self._failed(refusal)
            self._pause = min(max(self._pause * 2, TICK), _LONGEST_PAUSE)
            return self._pause
        self._pause = 0.0
        return TICK

    def ship(self) -> int:
        """Send everything that waits; tells how much."""
        paths = archiving.waiting(self._spool)
        for path in paths:
            one = archiving.ship(
                path, self._installation.target, self._cluster, self._installation.recipients
            )
            self._arrived(one.name)
        return len(paths)

    def _arrived(self, segment: str) -> None:
        at = clock.now()
        there = [one for one in self._waiting if one.segment <= segment]
        self._waiting = [one for one in self._waiting if one.segment > segment]
        waiting = len(archiving.waiting(self._spool))
        changes: dict[str, object] = {"shipped": segment, "shipped_at": at, "waiting": waiting}
        if there:
            seconds = (at - there[-1].at).total_seconds()
            changes |= {"canary_at": there[-1].at, "canary_seconds": seconds}
        if memory.recall(self._installation.state).failure:
            self._say("the log is archived again")
            changes |= {"failure": "", "failing_since": None}
        memory.remember(self._installation.state, **changes)

    def _failed(self, refusal: Refusal) -> None:
        known = memory.recall(self._installation.state)
        since = known.failing_since or clock.now()
        if known.failure != refusal.code:
            self._say(f"the log is not archived: {refusal.sentence} {refusal.detail or ''}")
        waiting = len(archiving.waiting(self._spool)) if self._spool.is_dir() else 0
        memory.remember(self._installation.state, failure=refusal.code, failing_since=since, waiting=waiting)

    def _fulls(self, keep: pruning.Keep, every: timedelta, drills: timedelta | None) -> None:
        tried: datetime | None = None
        while not self._stopped.wait(TICK):
            known = memory.recall(self._installation.state)
            recently = tried is not None and clock.now() - tried < _AGAIN
            if not recently and _due(known.backup_at, every):
                tried = clock.now()
                self._full(keep)
            elif drills is not None and not recently and known.backup_at and _due(known.drill_at, drills):
                tried = clock.now()
                self._drill()

    def _full(self, keep: pruning.Keep) -> None:
        try:
            with contextlib.suppress(BackupRunning):
                made = taking.and_remember(self._installation)
                self._say(f"backup {made.id}: {made.stored:,} bytes")
                pruning.prune(self._installation, keep)
        except Refusal as refusal:
            self._say(f"no backup: {refusal.sentence} {refusal.detail or ''}")

    def _drill(self) -> None:
        """In a process of its own, which takes its low priority and its memory with it."""
        argv = [sys.executable, "-m", "metachat", "backup", "drill", "--data", str(self._installation.data)]
        before = memory.recall(self._installation.state).drill_at
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            env=dict(self._environ), preexec_fn=die_with_parent(signal.SIGKILL),
        )  # fmt: skip
        self._say(f"drill: {(done.stdout or done.stderr).strip()[-500:]}")
        if memory.recall(self._installation.state).drill_at == before:  # it did not get to its end
            memory.remember(self._installation.state, drill_at=clock.now(), drill_verdict="failed")


def of_settings(settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Keep the backups of an installation coming until SIGTERM."""
    keeper = Keeper(find(settings, environ), say, environ)
    signal.signal(signal.SIGTERM, keeper.stop)
    drills = timedelta(days=settings.drill_days) if settings.drill_days else None
    keeper.run(pruning.Keep.of(settings.backup_keep), timedelta(hours=settings.backup_hours), drills)


def log_of_settings(settings: Settings, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Keep the log alone coming until SIGTERM: where timers make full backups and drills."""
    keeper = Keeper(find(settings, environ), say)
    signal.signal(signal.SIGTERM, keeper.stop)
    keeper.archive()


def _due(last: datetime | None, every: timedelta) -> bool:
    return last is None or clock.now() - last >= every
