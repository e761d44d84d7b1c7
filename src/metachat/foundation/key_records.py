"""The keys that a database knows by fingerprint, and the processes that hold them.

A process whose keys are not the database's refuses to start: it could open nothing, and would write what
nobody else can open.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import uuid7
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log
from metachat.foundation.settings import Settings

State = Literal["accepted", "current", "old", "retired"]

NAMES = ("session_secret", "api_key_pepper", "encryption_key")

# A process tells this often that it still runs; unheard of for three times as long, it counts as ended.
SAYS_EVERY = 5.0
ENDED_AFTER = 3 * SAYS_EVERY

_HOLD = "SELECT name, id, state FROM hold_keys(:process, :role, :host, :pid, :rings)"
_SEEN = "UPDATE key_holders SET seen_at = now() WHERE process = :process"
_LET_GO = "DELETE FROM key_holders WHERE process = :process OR seen_at < now() - interval '1 day'"


class KeyringMismatch(Refusal):
    """The keys of this process are not those of the database."""

    code, kind = "keyring_mismatch", Kind.CONFLICT
    exit_code = 78  # EX_CONFIG


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a database says of a key."""

    name: str
    id: str
    state: State


def rings_of(settings: Settings) -> dict[str, Keyring]:
    """The rings that a process was given, by the name of their setting."""
    given = {name: getattr(settings, name) for name in NAMES}
    return {name: Keyring.of(secret) for name, secret in given.items() if secret is not None}


def mismatches(rings: Mapping[str, Keyring], records: Sequence[Recorded]) -> list[str]:
    """Say what of these rings doesn't fit a database, and what would; empty when all does."""
    return [
        told
        for name, ring in rings.items()
        if (told := _mismatch(name, ring, {one.id: one.state for one in records if one.name == name}))
    ]


class Holding:
    """The word of a running process that it holds its keys."""

    def __init__(self, database: Database, process: UUID) -> None:
        self._database = database
        self._process = process
        self._task = asyncio.create_task(self._say())

    async def close(self) -> None:
        """Take the word back."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        with contextlib.suppress(DatabaseAway):
            async with self._database.statement() as db:
                await db.execute(_LET_GO, process=self._process)

    async def _say(self) -> None:
        while True:
            await asyncio.sleep(SAYS_EVERY)
            try:
                async with self._database.statement() as db:
                    await db.execute(_SEEN, process=self._process)
            except DatabaseAway:
                log.info("the database is away; that this process holds its keys is told later")


async def hold(database: Database, role: str, rings: Mapping[str, Keyring]) -> Holding:
    """Say that this process holds these keys, for as long as it runs; raises KeyringMismatch."""
    process = uuid7()
    async with database.transaction() as db:
        rows = await db.all(
            _HOLD, process=process, role=role, host=socket.gethostname(), pid=os.getpid(),
            rings={name: list(ring.ids) for name, ring in rings.items()},
        )  # fmt: skip
        found = mismatches(rings, [Recorded(**row) for row in rows])
        if found:
            raise KeyringMismatch("\n".join(found))
    return Holding(database, process)


def _mismatch(name: str, ring: Keyring, states: Mapping[str, State]) -> str | None:
    needed = [id for id, state in states.items() if state in ("current", "old") and not ring.find(id)]
    if needed:
        return (
            f"{name}: the database needs the key {' and '.join(needed)}; this process has"
            f" {' and '.join(ring.ids)}. Restore the escrow bundle that lists {needed[0]}"
            " (metachat secrets escrow --open FILE), or restore the database that belongs to these keys."
        )
    if states and states.get(ring.current.id, "retired") == "retired":
        return (
            f"{name}: the database does not use the key {ring.current.id}. Put back the one it uses,"
            f" {' or '.join(id for id, state in states.items() if state == 'current')}; a new key comes by:"
            f" metachat secrets rotate {name}"
        )
    return None
