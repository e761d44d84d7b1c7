"""The files that servers get, made from their templates."""

from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_FOLDER = Path(__file__).parent / "templates"


def render(name: str, **facts: Any) -> BytesIO:
    """Make a file for a server; a fact that is missing is an error here, never an empty word there."""
    return BytesIO(_environment().get_template(name).render(**facts).encode())


@cache
def _environment() -> Environment:
    # Configuration files, no pages: nothing to escape.
    files = FileSystemLoader(_FOLDER)
    return Environment(loader=files, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
