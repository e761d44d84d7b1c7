"""The password of a database role, replaced while everything runs: two logins take turns.

`metachat_app` and `metachat_app_2` are one role to the database: the second is a member of the first and
becomes it as soon as it signs in. The one that is not in use gets a new password and the address; once every
process has come over, the other one may sign in no longer.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import cast
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from metachat.foundation.migrations import SECOND, ensure_login
from metachat.foundation.settings import Secret
from metachat.operations.keys import scram
from metachat.operations.keys.installation import Installation
from metachat.operations.keys.model import ProcessesBehind
from metachat.operations.keys.rolling import LOOKS_EVERY, roll
from metachat.operations.keys.store import open_ledger
from metachat.operations.secrets import UnfitValue
from metachat.operations.secrets.known import DATABASES, make

_MAY_SIGN_IN = "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1"
_SHUT = "SELECT format('ALTER ROLE %I NOLOGIN PASSWORD NULL', $1::text)"

# Which processes sign in with an address.
_READERS = {"database_url": "api", "worker_database_url": "worker", "owner_database_url": "migrate"}


async def rotate(there: Installation, name: str) -> str:
    """Give a role of the database a new password, or finish what was begun; raises ProcessesBehind."""
    address = there.store(name).get(name).reveal()
    used = unquote(urlsplit(address).username or "")
    other = _other(DATABASES[name], used)
    async with _superuser(there) as connection:
        if await connection.fetchval(_MAY_SIGN_IN, other):
            await _close(there, connection, name, other)
            return (
                f"{name}: {used} is in use; {other}, left open by a rotation before, may sign in no longer."
            )
        password = make().reveal()
        await ensure_login(connection, other, scram.verifier(password))
        there.keep(name, Secret(_with_login(address, other, password)))
        there.note("secrets.rotate.current", f"{name} {other}")
        await _close(there, connection, name, used)
    return f"{name}: {other} is in use with a new password; {used} may sign in no longer."


def _other(role: str, used: str) -> str:
    if used not in (role, role + SECOND):
        raise UnfitValue(
            f"The address signs in as {used}, which is neither {role} nor {role}{SECOND}.",
            "Change that role's password in Postgres, then run: metachat secrets set",
        )
    return role if used != role else role + SECOND


def _with_login(address: str, role: str, password: str) -> str:
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(role)}:{quote(password, safe='')}@{place}").geturl()


async def _close(there: Installation, connection: asyncpg.Connection, name: str, role: str) -> None:
    """Shut a login once nobody is signed in by it any more; raises ProcessesBehind."""
    if await connection.fetchval(_SESSIONS, role):
        # By the database's clock, as the processes' own times are.
        began, kind = cast("datetime", await connection.fetchval("SELECT clock_timestamp()")), _READERS[name]
        async with open_ledger(there.database()) as ledger:
            await roll(there, ledger, lambda one: one.role == kind and one.started_at < began)
    deadline = time.monotonic() + there.patience
    while sessions := await connection.fetchval(_SESSIONS, role):
        if time.monotonic() > deadline:
            raise ProcessesBehind(f"{sessions} connections are still signed in as {role}")
        await asyncio.sleep(LOOKS_EVERY)
    await connection.execute(str(await connection.fetchval(_SHUT, role)))
    there.note("secrets.rotate.retired", role)


@asynccontextmanager
async def _superuser(there: Installation) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(there.superuser(), timeout=10)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)
