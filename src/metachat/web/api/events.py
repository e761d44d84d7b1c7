"""What happened, in order, for whoever keeps up with it."""

from typing import Any

from litestar import Request, get

from metachat.domain import events
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.events import Event
from metachat.web import access
from metachat.web.api.fields import Cursor, Limit
from metachat.web.api.paging import Page, after_number, pack


@get("/events", tags=["Events"])
async def list_events(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None
) -> Page[Event]:
    """List events, oldest first.

    `next_cursor` is never null here: ask again with it to learn what happened since.
    """
    async with access.scope(request, Role.AGENT, api_scope=ApiScope.EVENTS_READ) as scope:
        start = after_number(cursor)
        found = await events.read_after(scope, start, limit=limit)
        return Page(found, pack(str(found[-1].id if found else start)))


ROUTES = [list_events]
