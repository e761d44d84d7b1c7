"""Structured logs: one JSON object a line (or readable text), with the request and its correlation."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, get_contextvars

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure(process: str, form: str = "json", level: int = logging.INFO) -> None:
    """Set up logging for a process: `form` is "json" or "text"; everything goes to standard error."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    bind_contextvars(process=process)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


@contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Add values (request_id, correlation_id, job, ...) to every line logged inside."""
    with bound_contextvars(**values):
        yield


def current_correlation_id() -> str | None:
    """Tell what the work at hand belongs to, from webhook to reply; None outside of any."""
    value = get_contextvars().get("correlation_id")
    return None if value is None else str(value)
