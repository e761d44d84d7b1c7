"""Tenancy as a value one holds: who acts, for which tenant, in which transaction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from metachat.foundation import clock
from metachat.foundation.db import Database, Transaction
from metachat.foundation.ids import TenantId, UserId


@dataclass(frozen=True, slots=True)
class Scope:
    """One tenant's transaction: leaving it commits, raising rolls it back.

    actor is "user:<id>", "key:<id>", "visitor:<id>", "worker" or "cli"; member is None for all but users.
    """

    tenant: TenantId
    db: Transaction
    now: datetime
    actor: str
    member: UserId | None = None


@asynccontextmanager
async def open_scope(
    database: Database, tenant: TenantId, *, actor: str, member: UserId | None = None
) -> AsyncIterator[Scope]:
    """Open a transaction for one tenant; row-level security is the second wall behind it."""
    async with database.transaction(tenant=tenant) as db:
        yield Scope(tenant=tenant, db=db, now=clock.now(), actor=actor, member=member)
