"""Customers of a site who write at a steady pace, and what they were told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.servers.sites import Live

PER_SECOND = 20


@dataclass
class Customers:
    """Many who write at once, at a steady pace, and what they were told."""

    live: Live
    visitors: list[dict[str, str]]
    accepted: list[tuple[int, str]] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)
    ok_at: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write while this is entered, at the most for ten minutes."""
        threads = [threading.Thread(target=self._one, args=(n, 600)) for n in range(len(self.visitors))]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(timeout=60)

    def lost(self) -> list[str]:
        """What was accepted, and is in no transcript."""
        kept = [{one["text"] for one in self.live.transcript(visitor)} for visitor in self.visitors]
        return [text for number, text in self.accepted if text not in kept[number]]

    def _one(self, number: int, seconds: float) -> None:
        pause, end, count = len(self.visitors) / PER_SECOND, time.monotonic() + seconds, 0
        self._over.wait(pause * number / len(self.visitors))
        while time.monotonic() < end and not self._over.is_set():
            began, text = time.monotonic(), f"hello {number}-{count}-{end}"
            try:
                status = self.live.says(self.visitors[number], text, timeout=10)
            except OSError as error:
                self.refused.append((time.monotonic(), type(error).__name__))
            else:
                if status == 202:
                    self.accepted.append((number, text))
                    self.ok_at.append(time.monotonic())
                else:
                    self.refused.append((time.monotonic(), str(status)))
            count += 1
            self._over.wait(max(0.0, pause - (time.monotonic() - began)))
