"""What costs much and is no test's story: frames of web applications are made once, hashes cheaply."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from argon2 import PasswordHasher
from litestar.datastructures import State

from metachat.domain.accounts import passwords
from metachat.web import app

# What makes passwords slow, in full.
IN_FULL = {"_HASHER": passwords._HASHER, "_NOBODY": passwords._NOBODY}

_CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_Make = Callable[[tuple[str, ...]], Any]


@contextmanager
def taken() -> Iterator[None]:
    """Take them in this process; children do everything in full."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "make_framework", lending(app.make_framework))
        patch.setattr(passwords, "_HASHER", _CHEAP)
        patch.setattr(passwords, "_NOBODY", _CHEAP.hash("nobody at all"))
        yield


class _Lent:
    """A framework, until nobody holds it any more."""

    def __init__(self, framework: app.Application) -> None:
        self._framework = framework

    @property
    def state(self) -> State:
        """What it serves with."""
        return self._framework.state

    @state.setter
    def state(self, state: State) -> None:
        self._framework.state = state

    async def __call__(self, *connection: Any) -> None:
        await self._framework(*connection)


def lending(make: _Make) -> _Make:
    """Make frameworks as `make` does, and lend those again whose application is gone."""
    idle: dict[tuple[str, ...], list[app.Application]] = {}

    def lend(cors_origins: tuple[str, ...]) -> _Lent:
        free = idle.setdefault(cors_origins, [])
        framework = free.pop() if free else make(cors_origins)
        lent = _Lent(framework)
        weakref.finalize(lent, free.append, framework)
        return lent

    return lend
