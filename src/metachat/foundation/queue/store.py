"""The queue's SQL. A lane's row says who holds it; every change is conditional, its row count decides."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from metachat.foundation.clock import now
from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId
from metachat.foundation.log import current_correlation_id
from metachat.foundation.queue.model import Death, Job, Lease, LeaseLost

# Lanes in one wake-up: some that have long names still fit into one notification.
_WOKEN_AT_ONCE = 32

ENQUEUE = """
INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id, run_at)
VALUES (:lane, :kind, :tenant, :payload, :correlation, coalesce(:run_at, now()))"""

DEBOUNCE = "SELECT debounce(:lane, :kind, :tenant, :payload, :correlation, :dedupe_key, :quiet, :longest)"

ENQUEUE_ONCE = "SELECT enqueue_once(:lane, :kind, :tenant, :payload, :correlation, :run_at, :dedupe_key)"

FINISH = """
DELETE FROM jobs
WHERE id = :id AND EXISTS (SELECT FROM lanes WHERE lanes.lane = jobs.lane AND leased_by = :owner)"""

# See the functions: lanes in the order of their names, then their jobs, with what they bring along.
_CLAIM_MANY = """
SELECT claimed.*, bring(claimed.kind, claimed.tenant_id, claimed.lane) AS brought
FROM claim_lanes(:owner, :lanes::text[], :lease, :burst) AS claimed"""

# For a few of them, a loop begins faster.
_FEW = 2
_CLAIM_FEW = "SELECT * FROM claim_each(:owner, :lanes::text[], :lease, :burst)"

# A statement of its own after LEAVE: only a new snapshot surely sees what the lane's previous
# holder has finished.
LOAD = """
SELECT job.* FROM lanes CROSS JOIN LATERAL (
  SELECT id, lane, kind, tenant_id, payload, attempts, deaths, correlation_id,
    dedupe_key IS NOT NULL AS deduped
  FROM jobs WHERE jobs.lane = lanes.lane AND run_at <= now() ORDER BY id LIMIT :burst
) AS job WHERE lanes.lane = ANY(:lanes::text[]) AND lanes.leased_by = :owner ORDER BY job.id"""

DONE = """
DELETE FROM jobs USING lanes
WHERE jobs.id = ANY(:ids::bigint[]) AND lanes.lane = jobs.lane AND lanes.leased_by = :owner
RETURNING jobs.id"""

LEAVE = """
WITH idle AS MATERIALIZED (
  SELECT lane FROM lanes WHERE lane = ANY(:lanes::text[]) AND leased_by = :owner
    AND (lane = ANY(:anyway::text[])
      OR NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = lanes.lane AND run_at <= now()))
  ORDER BY lane FOR UPDATE
)
DELETE FROM lanes USING idle WHERE lanes.lane = idle.lane"""

# Whatever is leased to us and nobody works on.
LEAVE_STRAYS = "DELETE FROM lanes WHERE leased_by = :owner AND lane <> ALL(:held::text[]) RETURNING lane"

LEAVE_ALL = "DELETE FROM lanes WHERE leased_by = :owner RETURNING lane"

REST = """
UPDATE lanes SET leased_by = NULL, leased_until = now() + make_interval(secs => :pause), taken_over = false,
  watched = false
WHERE lane = :lane AND leased_by = :owner"""

# From here on the key may enter the queue again: this run may not see what its next user has written.
START = "UPDATE jobs SET dedupe_key = NULL WHERE id = :id"

COUNT_ATTEMPT = "UPDATE jobs SET attempts = attempts + 1 WHERE id = :id"

COUNT_DEATH = "UPDATE jobs SET deaths = deaths + :weight WHERE id = :id"

# While a job is watched, it alone is to blame for its worker's death.
WATCH = "UPDATE lanes SET watched = :watched WHERE lane = :lane AND leased_by = :owner"

BURY = """
WITH dead AS (
  DELETE FROM jobs
  WHERE id = :id AND EXISTS (SELECT FROM lanes WHERE lanes.lane = jobs.lane AND leased_by = :owner)
  RETURNING *
)
INSERT INTO dead_jobs (id, lane, kind, tenant_id, payload, correlation_id, attempts, error, created_at)
SELECT id, lane, kind, tenant_id, payload, correlation_id, :attempts, :error, created_at FROM dead"""

RENEW = """
WITH mine AS MATERIALIZED (
  SELECT lane FROM lanes WHERE lane = ANY(:lanes::text[]) AND leased_by = :owner ORDER BY lane FOR UPDATE
)
UPDATE lanes SET leased_until = now() + make_interval(secs => :lease)
FROM mine WHERE lanes.lane = mine.lane RETURNING lanes.lane"""

BEAT = """
INSERT INTO workers (name, in_flight, jobs_done, jobs_failed)
VALUES (:owner, :in_flight, :done, :failed) ON CONFLICT (name) DO UPDATE
SET in_flight = excluded.in_flight, jobs_done = excluded.jobs_done, jobs_failed = excluded.jobs_failed,
  seen_at = now()"""

FORGET_WORKERS = "DELETE FROM workers WHERE name = :owner OR seen_at < now() - interval '1 hour'"

OWNERS = "SELECT DISTINCT leased_by FROM lanes WHERE leased_by IS NOT NULL"

EXPIRE = "UPDATE lanes SET leased_until = '-infinity' WHERE leased_by = ANY(:owners::text[])"

# A lane that rested or was abandoned, and has nothing left to do.
TIDY = """
WITH old AS MATERIALIZED (
  SELECT lane FROM lanes WHERE leased_until < now() - interval '1 minute'
    AND NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = lanes.lane) FOR UPDATE SKIP LOCKED
)
DELETE FROM lanes USING old WHERE lanes.lane = old.lane"""

# Walks from tenant to tenant along the index and takes each one's oldest lanes, first place first: a
# tenant with a million jobs waiting costs no more than one with a hundred, and hides nobody.
FIND_DUE = """
WITH RECURSIVE tenants AS (
  (SELECT coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') AS tenant FROM jobs
   ORDER BY coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
  UNION ALL
  SELECT (SELECT coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') FROM jobs
    WHERE coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') > tenants.tenant
    ORDER BY coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') LIMIT 1)
  FROM tenants WHERE tenants.tenant IS NOT NULL
)
SELECT nullif(tenant, '00000000-0000-0000-0000-000000000000') AS tenant, waiting.lane
FROM tenants CROSS JOIN LATERAL (
  SELECT lane, row_number() OVER (ORDER BY min(id)) AS place FROM (
    SELECT lane, id FROM jobs
    WHERE coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') = tenants.tenant AND run_at <= now()
      AND split_part(lane, ':', 1) <> ALL(:full::text[])
      AND NOT EXISTS (SELECT FROM lanes WHERE lanes.lane = jobs.lane AND leased_until >= now())
    ORDER BY id LIMIT greatest(5, :limit::bigint / (SELECT count(*) FROM tenants))
  ) AS oldest GROUP BY lane
) AS waiting WHERE tenant IS NOT NULL ORDER BY place LIMIT :limit::bigint"""

NEXT_DUE = """
SELECT extract(epoch FROM least(
  (SELECT min(run_at) FROM jobs WHERE run_at > now() AND run_at > created_at),
  (SELECT min(leased_until) FROM lanes WHERE leased_until > now())) - now())::float8"""

DEAD = """
SELECT id, lane, kind, tenant_id, payload, correlation_id, attempts, error, died_at, created_at
FROM dead_jobs WHERE (:tenant::uuid IS NULL OR tenant_id = :tenant) AND id > :after
ORDER BY id LIMIT :limit"""

REPLAY = """
WITH risen AS (DELETE FROM dead_jobs WHERE id = :id RETURNING *)
INSERT INTO jobs (lane, kind, tenant_id, payload, correlation_id)
SELECT lane, kind, tenant_id, payload, correlation_id FROM risen RETURNING lane, tenant_id"""


async def enqueue(
    db: Transaction,
    kind: str,
    payload: Mapping[str, Any],
    *,
    lane: str,
    tenant: TenantId | None,
    run_at: datetime | None = None,
    dedupe_key: str | None = None,
) -> None:
    """Add a job in the caller's transaction; the workers are woken after its commit.

    Due jobs of a lane run one at a time in the order they were enqueued (callers who add to one lane at
    the same time agree on the order by a row lock of their own). A job with a `dedupe_key` is not added
    while one with the same key waits; once that has started, the key is free again.
    """
    values = {
        "lane": lane, "kind": kind, "tenant": tenant, "payload": payload, "run_at": run_at,
        "correlation": current_correlation_id(),
    }  # fmt: skip
    if dedupe_key is None:
        await db.execute(ENQUEUE, **values)
    else:
        await db.execute(ENQUEUE_ONCE, **values, dedupe_key=dedupe_key)
    wake(db, lane, tenant, None if run_at is None else (run_at - now()).total_seconds())


async def debounce(
    db: Transaction,
    kind: str,
    payload: Mapping[str, Any],
    *,
    lane: str,
    tenant: TenantId | None,
    dedupe_key: str,
    quiet: float,
    longest: float,
) -> None:
    """Add a job that runs `quiet` seconds after the last such call, at most `longest` after the first.

    Further calls with its `dedupe_key` move the job that waits; once that has started, the key is free
    again, and what it then reads includes all that these callers wrote.
    """
    after: float = await db.value(
        DEBOUNCE, lane=lane, kind=kind, tenant=tenant, payload=payload, dedupe_key=dedupe_key,
        correlation=current_correlation_id(), quiet=quiet, longest=longest,
    )  # fmt: skip
    wake(db, lane, tenant, after)


def wake(db: Transaction, lane: str, tenant: TenantId | None, after: float | None = None) -> None:
    """Tell the workers after the commit that a lane has work, or will have after so many seconds."""
    news: dict[str, Any] = {"lane": lane, "tenant": tenant}
    db.announce("wake", news if after is None or after <= 0 else {**news, "after": after})


def wake_all(db: Transaction, lanes: Collection[str], tenant: TenantId | None) -> None:
    """Tell the workers after the commit that these lanes have work, as many in one piece of news as fit."""
    known = list(lanes)
    for start in range(0, len(known), _WOKEN_AT_ONCE):
        db.announce("wake", {"lanes": known[start : start + _WOKEN_AT_ONCE], "tenant": tenant})


async def finish(db: Transaction, job: Job) -> None:
    """Complete a job in the transaction of its effect: both or none; raises LeaseLost."""
    if await db.execute(FINISH, id=job.id, owner=job.lease.owner) != 1:
        raise LeaseLost(job.lane)
    note_ended(db, [job], {job.id})


def note_ended(
    db: Transaction, jobs: Iterable[Job], ended: Collection[int], left: Collection[int] = ()
) -> None:
    """Tell after the commit, to those who run them, which of these jobs were completed with their effect.

    left: those whose lanes were left with them.
    """
    done = [job for job in jobs if job.id in ended]

    def note() -> None:
        for job in done:
            job.lease.finished.add(job.id)
            job.lease.left = job.id in left

    db.after_commit(note)


async def dead(
    db: Transaction, tenant: TenantId | None = None, *, after: int = 0, limit: int = 50
) -> list[dict[str, Any]]:
    """List jobs that were laid aside, oldest first; `after` is the last id of the page before."""
    return await db.all(DEAD, tenant=tenant, after=after, limit=limit)


async def replay(db: Transaction, id: int) -> bool:
    """Put a job that was laid aside at the end of its lane again; False when there is no such job."""
    row = await db.one(REPLAY, id=id)
    if row is not None:
        wake(db, row["lane"], row["tenant_id"])
    return row is not None


async def claim(
    db: Transaction, owner: str, lanes: Collection[str], lease: float, burst: int = 1
) -> tuple[dict[str, Death], dict[str, list[Job]]]:
    """Take those of the lanes that are free, with their next due jobs.

    Tells for each lane how its last holder died on it, if at all; one without jobs is absent from the second.
    """
    claim = _CLAIM_FEW if len(lanes) <= _FEW else _CLAIM_MANY
    rows = await db.all(claim, owner=owner, lanes=sorted(lanes), lease=lease, burst=burst)
    held = {row["lane"]: (row.pop("taken_over"), row.pop("watched")) for row in rows}
    in_company = sum(taken_over for taken_over, _ in held.values()) > 1
    deaths = {lane: _death(*left, in_company) for lane, left in held.items()}
    return deaths, _jobs(owner, (row for row in rows if row["id"] is not None))


def _death(taken_over: object, watched: object, in_company: object) -> Death:
    if not taken_over:
        return Death.NONE
    return Death.ALONE if not in_company else Death.WATCHED if watched else Death.IN_COMPANY


async def load(db: Transaction, owner: str, lanes: Collection[str], burst: int) -> dict[str, list[Job]]:
    """Read the next due jobs of lanes that we hold, in order; a lane without any is absent."""
    return _jobs(owner, await db.all(LOAD, owner=owner, lanes=list(lanes), burst=burst))


def _jobs(owner: str, rows: Iterable[dict[str, Any]]) -> dict[str, list[Job]]:
    found: dict[str, list[Job]] = {}
    leases: dict[str, Lease] = {}
    for row in rows:
        lane = row["lane"]
        row["tenant"] = row.pop("tenant_id")
        lease = leases.setdefault(lane, Lease(lane, owner))
        found.setdefault(lane, []).append(Job(**row, lease=lease))
    return found
