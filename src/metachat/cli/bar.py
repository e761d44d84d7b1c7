"""A line that tells how far something long is, and about how long it still takes."""

import sys
import time
from types import TracebackType
from typing import Self

from metachat.operations.backups.installation import Progress

_WIDTH = 24


class Bar:
    """Drawn on standard error, and only for a person at a terminal."""

    def __init__(self) -> None:
        self._phase = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, at: TracebackType | None) -> None:
        if self._phase and sys.stderr.isatty():
            print(file=sys.stderr)

    def __call__(self, progress: Progress) -> None:
        """Draw it."""
        if not sys.stderr.isatty():
            return
        if progress.phase != self._phase:
            if self._phase:
                print(file=sys.stderr)
            self._phase, self._began = progress.phase, time.monotonic()
        print(f"\r{self._line(progress)}", end="", file=sys.stderr, flush=True)

    def _line(self, progress: Progress) -> str:
        full = round(progress.done * _WIDTH)
        took = time.monotonic() - self._began
        left = took / progress.done - took if progress.done > 0.01 else None
        eta = "" if left is None or progress.done >= 1 else f"about {left:.0f} s left"
        bar = "#" * full + "." * (_WIDTH - full)
        return f"{progress.phase[:24]:<24} [{bar}] {progress.done:>4.0%} {progress.size:>15,} {eta:<20}"
