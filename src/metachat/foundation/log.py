"""Structured logs: one JSON object a line (or readable text), with the request and its correlation.

Everything passes through the redaction: our own lines, those of the standard library's logging (the server,
asyncio, warnings), and the last words of a process that dies of a mistake.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar, Token
from typing import Any

import structlog
from typing_extensions import override

from metachat.foundation import redaction

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def configure(process: str, form: str = "json", level: int = logging.INFO) -> None:
    """Set up logging for a process: `form` is "json" or "text"; everything goes to standard error."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            _with_values,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _values.set({**_values.get(_NONE), "process": process})
    logging.basicConfig(handlers=[_Handler()], level=logging.WARNING)
    logging.captureWarnings(capture=True)
    redaction.die_discreetly()


_values: ContextVar[Mapping[str, Any]] = ContextVar("log_values")
_NONE: Mapping[str, Any] = {}


class bound:
    """Add values (request_id, correlation_id, job, ...) to every line logged inside.

    One variable holds all of them: one for each, as structlog does it, costs a job a tenth of its time.
    """

    __slots__ = ("_added", "_token")

    _token: Token[Mapping[str, Any]]

    def __init__(self, **values: Any) -> None:
        self._added = values

    def __enter__(self) -> None:
        self._token = _values.set({**_values.get(_NONE), **self._added})

    def __exit__(self, *_: object) -> None:
        _values.reset(self._token)


def current(name: str) -> Any:
    """Tell the value of that name that lines have here; None where they have none."""
    return _values.get(_NONE).get(name)


def current_correlation_id() -> str | None:
    """Tell what the work at hand belongs to, from webhook to reply; None outside of any."""
    value = current("correlation_id")
    return None if value is None else str(value)


def _with_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _values.get(_NONE).items():
        event.setdefault(name, value)
    return event


def _without_secrets(_logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    return redaction.fields(event)


class _Formatter(logging.Formatter):
    """Writes the standard library's records."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        try:
            return redaction.clean(super().format(record))
        except (TypeError, ValueError, KeyError):
            # Arguments that don't fit the text: by itself, logging would print them as they are.
            return f"{record.levelname} {record.name} {redaction.clean(redaction.told(record.msg))}"


class _Handler(logging.StreamHandler[Any]):
    """Standard error, as it is at the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Formatter("%(levelname)s %(name)s %(message)s"))
