"""Lists in pages: a cursor says where the next page begins, so that new rows shift nothing."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from metachat.foundation.errors import Kind, Refusal

T = TypeVar("T")


class CursorInvalid(Refusal):
    """This cursor is not one of ours; begin without one."""

    code, kind = "cursor_invalid", Kind.INVALID


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; next_cursor leads to the next part and is null at the end."""

    items: list[T]
    next_cursor: str | None


def page(rows: Sequence[T], limit: int, mark: Callable[[T], str]) -> Page[T]:
    """Make a page of rows read with a limit one higher; mark names a row for the cursor."""
    items = list(rows[:limit])
    return Page(items, pack(mark(items[-1])) if len(rows) > limit else None)


def pack(mark: str) -> str:
    """Make a cursor of a row's mark."""
    return base64.urlsafe_b64encode(mark.encode()).decode().rstrip("=")


def unpack(cursor: str) -> str:
    """Read a row's mark out of a cursor; raises CursorInvalid."""
    try:
        return base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise CursorInvalid() from error


def after_id(cursor: str | None) -> UUID | None:
    """Read a cursor that marks a row by its id; raises CursorInvalid."""
    if cursor is None:
        return None
    try:
        return UUID(unpack(cursor))
    except ValueError as error:
        raise CursorInvalid() from error


def after_number(cursor: str | None) -> int:
    """Read a cursor that marks a row by a number, 0 for none; raises CursorInvalid."""
    if cursor is None:
        return 0
    text = unpack(cursor)
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise CursorInvalid()
    return int(text)


def after_moment(cursor: str | None) -> tuple[datetime, UUID] | None:
    """Read a cursor that marks a row by a moment and its id; raises CursorInvalid."""
    if cursor is None:
        return None
    moment, _, id = unpack(cursor).partition("/")
    try:
        when = datetime.fromisoformat(moment)
        if when.tzinfo is None or not 2000 <= when.year <= 2999:
            raise CursorInvalid()
        return when, UUID(id)
    except ValueError as error:
        raise CursorInvalid() from error
