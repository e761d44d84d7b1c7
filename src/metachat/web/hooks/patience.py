"""A deadline for each of many that wait equally long, with one timer for all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Patience:
    """Cancels what takes longer than so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # In the order of their deadlines, since all have the same time.
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Give what is awaited inside its time; raises TimeoutError when it is over."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        self._waiting[task] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)
        try:
            yield
        except asyncio.CancelledError:
            if task in self._late and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._waiting.pop(task, None)
            self._late.discard(task)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for task, deadline in list(self._waiting.items()):
            if deadline > loop.time():
                self._timer = loop.call_at(deadline, self._look)
                return
            del self._waiting[task]
            self._late.add(task)
            task.cancel()
