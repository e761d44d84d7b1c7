"""A bounded time for calls whose libraries bound only each read, or nothing at all."""

import threading
from collections.abc import Callable
from typing import TypeVar

from metachat.operations.secrets.contract import StoreUnreachable

# A store that is well answers in a fraction of a second; whoever waits is a person or a starting process.
SECONDS = 10.0

T = TypeVar("T")


def within(seconds: float, where: str, call: Callable[[], T]) -> T:
    """Call and return its result; raises StoreUnreachable when it takes longer than so many seconds.

    The call goes on in a thread that nobody waits for: a server that sends a byte now and then, or a resolver
    that hangs, holds up neither us nor our end.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # handed to whoever waits
            failures.append(error)

    thread = threading.Thread(target=run, name="secrets store", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures:
        raise failures[0]
    if not results:
        raise StoreUnreachable(
            f"{where} did not answer within {seconds:g} s.", "See whether it is up, and reachable from here."
        )
    return results[0]
