"""What will very probably be asked for is begun before it is, while something else is waited for."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Prefetch(Generic[K, V]):
    """Work that is begun early, under the key that it will be asked for by.

    At most `most` pieces at a time: in a crowd waiting costs nothing, and there is no time for guesses. What
    nobody has asked for within `kept` seconds is dropped.
    """

    def __init__(self, *, most: int = 4, kept: float = 2.0) -> None:
        self._most = most
        self._kept = kept
        self._begun: dict[K, asyncio.Task[V]] = {}

    def begin(self, key: K, work: Callable[[], Coroutine[Any, Any, V]]) -> None:
        """Begin a piece of work, unless there is no place for it; returns at once."""
        if key in self._begun or len(self._begun) >= self._most:
            return
        self._begun[key] = task = asyncio.create_task(work(), name="prefetch")
        task.add_done_callback(_heard)
        asyncio.get_running_loop().call_later(self._kept, self._drop, key, task)

    async def take(self, key: K) -> V | None:
        """Give what was begun under a key, once; None where nothing was, or where it failed.

        Whoever gets None does the work, and learns by that what is wrong.
        """
        task = self._begun.pop(key, None)
        if task is None:
            return None
        try:
            return await task
        except Exception:
            return None

    def _drop(self, key: K, task: asyncio.Task[V]) -> None:
        if self._begun.get(key) is task:
            del self._begun[key]
            task.cancel()


def _heard(task: asyncio.Task[V]) -> None:
    # Read here, so that the failure of what nobody asks for is no news.
    if not task.cancelled():
        task.exception()
