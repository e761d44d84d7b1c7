"""The verbs of rotation, and what a database that is away is called."""

from collections.abc import Awaitable
from enum import Enum
from typing import Any, TypeVar

import asyncpg

from metachat.foundation.errors import Unavailable
from metachat.operations.keys import logins, looking, rotating
from metachat.operations.keys.installation import Installation
from metachat.operations.secrets.known import DATABASES

__all__ = ["How", "Installation", "KeysAway", "how", "rotate", "status"]

T = TypeVar("T")


class KeysAway(Unavailable):
    """The database in which the keys are used cannot be reached; start it, or the platform, first."""

    code = "keys_away"


class How(Enum):
    """What of a rotation is asked for."""

    ALL = "begin, or go on"
    RESUME = "go on, and begin none"
    RETIRE = "end an overlap that is over"
    RETIRE_NOW = "end an overlap early"


def how(*, resume: bool, retire: bool, now: bool) -> How:
    """Read the options of the command line."""
    if retire:
        return How.RETIRE_NOW if now else How.RETIRE
    return How.RESUME if resume else How.ALL


async def rotate(there: Installation, name: str, how: How) -> str:
    """Rotate a key or a password of the database; tells how it stands then. Raises KeysAway and many more."""
    return await _reached(_rotate(there, name, how))


async def status(there: Installation, name: str) -> dict[str, Any]:
    """Tell how a rotation stands; raises KeysAway."""
    return await _reached(looking.status(there, name))


async def _rotate(there: Installation, name: str, how: How) -> str:
    if name in DATABASES:
        return await logins.rotate(there, name)
    match how:
        case How.ALL:
            return await rotating.rotate(there, name)
        case How.RESUME:
            return await rotating.resume(there, name)
        case How.RETIRE | How.RETIRE_NOW:
            return await rotating.retire(there, name, now=how is How.RETIRE_NOW)


async def _reached(work: Awaitable[T]) -> T:
    try:
        return await work
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError) as error:
        raise KeysAway(type(error).__name__) from error
