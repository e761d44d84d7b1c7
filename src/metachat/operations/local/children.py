"""Child processes that never outlive us."""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1

# Loaded here, since a child between fork and exec had better not load anything.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Make a `preexec_fn` that asks the kernel to signal the child when its parent dies, even by kill -9."""
    parent = os.getpid()

    def ask() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os.kill(os.getpid(), number)

    return ask
