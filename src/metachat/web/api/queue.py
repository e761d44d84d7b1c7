"""The queue as the platform's operator sees it: what waits, what was laid aside, what is open everywhere."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import PathParameter

from metachat.domain.channels import health
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.queue import watching
from metachat.foundation.queue.watching import DeadJob, Depth
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.fields import Cursor, Limit
from metachat.web.api.paging import Page, after_number, page

Number = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]


class DeadJobNotFound(Refusal):
    """There is no such job among those that were laid aside."""

    code, kind = "dead_job_not_found", Kind.NOT_FOUND


@dataclass(frozen=True, slots=True)
class QueueView:
    """What waits, by kind of job."""

    kinds: list[Depth]


class Risen(msgspec.Struct, frozen=True):
    """How many jobs were put back into their lanes; left says whether some were left for another step."""

    jobs: int
    left: bool


class OpenFinding(msgspec.Struct, frozen=True):
    """Something that somebody should look at, and whose it is."""

    id: UUID
    tenant: str
    kind: str
    subject: UUID
    since: datetime
    detail: dict[str, Any]


@get("/operator/queue", include_in_schema=False)
async def show_queue(request: AnyRequest) -> QueueView:
    """Tell how many jobs of each kind wait, and since when."""
    access.operator_only(request)
    return QueueView(await watching.depth(access.platform_of(request).database))


@get("/operator/dead-jobs", include_in_schema=False)
async def list_dead_jobs(request: AnyRequest, limit: Limit = 50, cursor: Cursor = None) -> Page[DeadJob]:
    """List jobs that were laid aside, oldest first; without their payloads."""
    access.operator_only(request)
    database = access.platform_of(request).database
    found = await watching.dead_jobs(database, after=after_number(cursor), limit=limit + 1)
    return page(found, limit, lambda job: str(job.id))


@post("/operator/dead-jobs/{number:int}/replay", include_in_schema=False, status_code=202)
async def replay_dead_job(request: AnyRequest, number: Number) -> Risen:
    """Put a job back at the end of its lane."""
    access.operator_only(request)
    if not await watching.raise_dead(access.platform_of(request).database, one=number):
        raise DeadJobNotFound()
    return Risen(1, left=False)


@post("/operator/dead-jobs/replay", include_in_schema=False, status_code=202)
async def replay_dead_jobs(request: AnyRequest, up_to: int | None = None) -> Risen:
    """Put up to 1,000 jobs back, oldest first; those after the number up_to stay."""
    access.operator_only(request)
    risen = await watching.raise_dead(access.platform_of(request).database, up_to=up_to)
    return Risen(risen, left=risen == watching.RAISED_AT_ONCE)


@get("/operator/findings", include_in_schema=False)
async def list_findings(request: AnyRequest) -> list[OpenFinding]:
    """List what somebody should look at, of all tenants, newest first."""
    access.operator_only(request)
    found = await health.findings_everywhere(access.platform_of(request).database)
    return [msgspec.convert(one, OpenFinding) for one in found]


ROUTES = [show_queue, list_dead_jobs, replay_dead_job, replay_dead_jobs, list_findings]
