"""The dashboard: server-rendered pages for the people of a tenant."""

from litestar import Router, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from metachat.web.dashboard import (
    assistant,
    channels,
    conversations,
    doors,
    keys,
    knowledge,
    members,
    overview,
    problems,
    updates,
)


@get("/dashboard/{rest:path}")
async def nothing(rest: FromPath[str]) -> None:
    """Answer whatever is not there."""
    raise NotFoundException


ROUTES = [
    Router(
        "/",
        route_handlers=[
            *doors.ROUTES, *overview.ROUTES, *knowledge.ROUTES, *conversations.ROUTES, *keys.ROUTES,
            *members.ROUTES,
            *assistant.ROUTES, *channels.ROUTES, *updates.ROUTES, nothing,
        ],
        exception_handlers=problems.HANDLERS,
        include_in_schema=False,
    )
]  # fmt: skip
