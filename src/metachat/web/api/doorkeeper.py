"""Tells the proxy whether who asks may see what a site shows to its operators alone."""

from typing import Any

from litestar import Request, get

from metachat.web import access


@get("/auth/operator", include_in_schema=False, opt={"public": True}, status_code=204)
async def operators(request: Request[Any, Any, Any]) -> None:
    """Answer 204 to who brings the token of the metrics, 401 to others; the proxy asks before it serves."""
    await access.figures_only(request)


ROUTES = [operators]
