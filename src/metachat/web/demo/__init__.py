"""The demo shop's page: where a newcomer meets the widget, beside a help centre to ask about."""

from litestar.types import ControllerRouterHandler

from metachat.web.demo.routes import show_article, show_file, show_shop

ROUTES: list[ControllerRouterHandler] = [show_shop, show_article, show_file]

__all__ = ["ROUTES"]
