"""The embeddable chat: one script for any page."""

from litestar.types import ControllerRouterHandler

from metachat.web.widget.routes import widget_script

ROUTES: list[ControllerRouterHandler] = [widget_script]

__all__ = ["ROUTES"]
