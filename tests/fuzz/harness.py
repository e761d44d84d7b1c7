"""Fuzzes the parsers of what providers deliver, guided by coverage: `python -m tests.fuzz.harness`.

Inputs that begin like JSON are webhooks as they come; of all others, the bytes decide how a nearly right
webhook is made.
"""

import sys
from importlib import import_module
from typing import Any, TypeVar

# Untyped, and only on machines for which it has a wheel.
atheris: Any = import_module("atheris")

T = TypeVar("T")

with atheris.instrument_imports(
    include=["metachat.domain.channels.whatsapp", "metachat.domain.conversations"]
):
    from tests.fuzz import webhooks


class Guided:
    """Choices that the fuzzer's bytes make."""

    def __init__(self, data: bytes) -> None:
        self._provider: Any = atheris.FuzzedDataProvider(data)

    def pick(self, items: list[T]) -> T:
        """One of some."""
        return items[self.number(0, len(items) - 1)]

    def number(self, low: int, high: int) -> int:
        """A number between two."""
        return int(self._provider.ConsumeIntInRange(low, high))


def check(data: bytes) -> None:
    """One input."""
    if data[:1] in (b"{", b"["):
        webhooks.understood(data)
        return
    body = webhooks.webhook(Guided(data))
    assert len(webhooks.understood(body)) == webhooks.count(body), "an update was lost"
    webhooks.judged(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
