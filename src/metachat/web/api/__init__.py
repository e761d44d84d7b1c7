"""The JSON API under /api/v1, described by its own OpenAPI document and by a page to read."""

from litestar import Router

from metachat.web import problems
from metachat.web.api import (
    ask,
    assistant,
    attachments,
    channel_checks,
    channels,
    conversations,
    events,
    keys,
    knowledge,
    members,
    operator,
    queue,
    session,
    tenant,
    updates,
)
from metachat.web.api.document import config

__all__ = ["config", "router"]


def router() -> Router:
    """Put the API's routes together."""
    areas = [
        session, tenant, members, keys, knowledge, ask, conversations, attachments, channels, channel_checks,
        updates, events, operator, queue, assistant,
    ]  # fmt: skip
    routes = [route for area in areas for route in area.ROUTES]
    return Router("/api/v1", route_handlers=routes, exception_handlers=problems.HANDLERS)
