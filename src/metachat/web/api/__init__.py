"""The JSON API under /api/v1, described by its own OpenAPI document and a page to read."""

from litestar import Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin


def router() -> Router:
    """Put the API's routes together."""
    return Router("/api/v1", route_handlers=[])


def openapi_config() -> OpenAPIConfig:
    """Say what the OpenAPI document says about the API as a whole."""
    return OpenAPIConfig(
        title="metachat",
        version="1",
        path="/api",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        use_handler_docstrings=True,
    )
