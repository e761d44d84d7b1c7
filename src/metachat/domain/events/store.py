"""Events of a tenant in the order of their recording."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from metachat.foundation.log import current_correlation_id
from metachat.foundation.scope import Scope


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `id` grows and is the cursor."""

    id: int
    kind: str
    subject: UUID | None
    data: dict[str, Any]
    correlation_id: str | None
    at: datetime


async def record(scope: Scope, kind: str, *, subject: UUID | None = None, **data: Any) -> None:
    """Record an event with its cause: both commit, or neither does."""
    await scope.db.execute(
        RECORD,
        tenant=scope.tenant,
        kind=kind,
        subject=subject,
        data=data,
        correlation=current_correlation_id(),
    )


async def read_after(scope: Scope, cursor: int, *, limit: int) -> list[Event]:
    """Read the events after a cursor (0 for all), oldest first."""
    rows = await scope.db.all(READ_AFTER, tenant=scope.tenant, cursor=cursor, limit=limit)
    return [Event(**row) for row in rows]


RECORD = """
INSERT INTO events (tenant_id, kind, subject, data, correlation_id)
VALUES (:tenant, :kind, :subject, :data, :correlation)
"""

# A transaction that is still open may hold a smaller id than one already committed; a cursor that moved
# past it would lose its events. So only what no open transaction can precede is shown.
READ_AFTER = """
SELECT id, kind, subject, data, correlation_id, at FROM events
WHERE tenant_id = :tenant AND id > :cursor AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY id LIMIT :limit
"""
