"""Passwords: argon2id in threads, few at a time, so that a flood of sign-ins cannot eat the memory."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from metachat.domain.accounts.model import Busy

_T = TypeVar("_T")

# OWASP's second choice of parameters: 21 ms and 19 MiB each. Two at a time are 38 MiB, whatever comes.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_A_TIME = 2
# Two threads work off about 90 a second, so that the last in the queue waits well under a second.
_QUEUE = 64

# A hash of nothing anyone knows, with the parameters above: who has no account waits as long as who has one.
_NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWF0LWFsbC1oZXJl$PH2TcTMzHhlKnAnMLRq6ZPXLbKQDs9E2fTWLqYdzsmk"
)


class _Threads:
    """A thread pool that turns work away when its queue is full."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_AT_A_TIME, thread_name_prefix="argon2")
        self._waiting = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run in a thread; raises Busy."""
        if self._waiting >= _QUEUE:
            raise Busy(retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


_THREADS = _Threads()


async def hash_password(password: str) -> str:
    """Hash a new password for storage; raises Busy."""
    return await _THREADS.run(lambda: _HASHER.hash(password))


async def matches(stored: str | None, password: str) -> bool:
    """Compare a password with a stored hash, or with nobody's (None): same time, always False."""
    right = await _THREADS.run(lambda: _verify(stored or _NOBODY, password))
    return right and stored is not None


def is_outdated(stored: str) -> bool:
    """Tell whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)


def invent() -> str:
    """Make a password for someone who will change it: 80 random bits, readable aloud."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"  # no letters that look alike
    return "-".join("".join(secrets.choice(alphabet) for _ in range(4)) for _ in range(4))


def _verify(stored: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
