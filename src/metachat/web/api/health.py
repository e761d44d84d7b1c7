"""Health: live says that the process runs, ready says whether it can serve, both by status code."""

import asyncio
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException

from metachat.foundation.db import DatabaseAway
from metachat.foundation.errors import Unavailable
from metachat.web import access

if TYPE_CHECKING:
    from metachat.wiring import Platform

# Shorter than any balancer's own limit, so that it reads our answer and not its timeout.
_PATIENCE_SECONDS = 2.0


class GoingDown(Unavailable):
    """This process is going down."""

    code = "going_down"


@get("/health/live", include_in_schema=False, opt={"public": True})
async def live() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "live"}


@get("/health/ready", include_in_schema=False, opt={"public": True})
async def ready(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Say whether this process can serve: 200, or 503 while the database is away or it goes down."""
    drain = request.app.state.drain
    if drain.begun or drain.leaving:
        raise GoingDown()
    await _check_database(access.platform_of(request))
    return {"status": "ready", "database": "ok"}


@get("/metrics", include_in_schema=False, opt={"public": True})
async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Show measurements, to this very machine only; for all others there is nothing here."""
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if forwarded or not access.is_loopback(access.address(request)):
        raise NotFoundException()
    own, state = request.app.state.metrics.text(), request.app.state
    shared = await state.measured.text(access.platform_of(request).database)
    return Response(own + shared, media_type="text/plain; version=0.0.4; charset=utf-8")


async def _check_database(platform: "Platform") -> None:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), platform.database.transaction() as db:
            await db.value("SELECT 1")
    except TimeoutError as error:
        raise DatabaseAway(f"no answer within {_PATIENCE_SECONDS:g} s") from error


ROUTES = [live, ready, metrics]
