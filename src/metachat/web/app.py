"""The web application: the areas and what surrounds them, put together once per process."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send
from typing_extensions import override

from metachat.web import api, chat, dashboard, demo, hooks, pages, problems, widget
from metachat.web.api import doorkeeper, health, reference
from metachat.web.drain import Drain
from metachat.web.envelope import Envelope
from metachat.web.limited import Limited, of_addresses
from metachat.web.measured import Measured
from metachat.web.metrics import Metrics

if TYPE_CHECKING:
    from metachat.wiring import Platform

# JSON and forms are small; a route that takes files says so itself.
_BODY_LIMIT = 1024 * 1024


class Application(Litestar):
    """Litestar without its default plugins."""

    @override
    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        # The others import pydantic and attrs, 14 MB in every process, for types that we don't use.
        return [*plugins, MsgspecDIPlugin()]


class Dispatcher:
    """Hands a request to the application its path belongs to, before any framework."""

    def __init__(self, by_prefix: Mapping[str, ASGIApp], otherwise: ASGIApp) -> None:
        self._by_prefix = by_prefix
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch by the first part of the path."""
        first = scope["path"].split("/", 2)[1] if scope["type"] == "http" else ""
        await self._by_prefix.get(first, self._otherwise)(scope, receive, send)


def create_app(
    platform: "Platform", drain: Drain | None = None, behind: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> ASGIApp:
    """Make the ASGI application of an api process on an open platform.

    behind wraps what needs to know its caller's address; a provider is known by its signature alone.
    """
    drain = drain or Drain()
    metrics = Metrics(drain, platform.database)
    framework = make_framework(platform.settings.cors_origins)
    framework.state = State(
        {"platform": platform, "drain": drain, "metrics": metrics, "measured": Measured()}
    )
    # The doors of customers and providers are applications without a framework; providers get along
    # without the envelope as well.
    dispatched = Dispatcher({"chat": cast(ASGIApp, chat.door(platform))}, framework)
    limited = Limited(dispatched, platform.rates, of_addresses(platform.settings))
    enveloped = Envelope(limited, drain, metrics)
    return Dispatcher({"hooks": cast(ASGIApp, hooks.door(platform, metrics))}, behind(enveloped))


def make_framework(cors_origins: tuple[str, ...]) -> Application:
    """Put the areas together; whoever serves them gives them their state."""
    return Application(
        [api.router(), *(_unlisted(routes) for routes in _areas())],
        # Where no area answers, a browser still gets a page.
        exception_handlers={**problems.HANDLERS, **dashboard.problems.HANDLERS},
        openapi_config=api.config(),
        cors_config=_other_origins(cors_origins),
        request_max_body_size=_BODY_LIMIT,
        logging_config=None,
    )


def _other_origins(origins: tuple[str, ...]) -> CORSConfig | None:
    # Only with a token in the header: no other origin ever speaks with a signed-in person's cookies.
    headers = ["Authorization", "Content-Type"]
    return CORSConfig(allow_origins=list(origins), allow_headers=headers) if origins else None


def _areas() -> list[Sequence[ControllerRouterHandler]]:
    own = [health.ROUTES, doorkeeper.ROUTES, reference.ROUTES, [pages.static]]
    return [*own, widget.ROUTES, demo.ROUTES, dashboard.ROUTES]


def _unlisted(routes: Sequence[ControllerRouterHandler]) -> Router:
    # The API's document describes the API only.
    return Router("/", route_handlers=routes, include_in_schema=False)
