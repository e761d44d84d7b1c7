"""Reading what another program wrote: whatever is missing or of another type reads as empty."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

Object = Mapping[str, Any]

_EMPTY: Object = {}
# Ids that came as numbers; what is larger names nobody.
_LARGEST = 10**40


def text(value: Object, *names: str) -> str:
    """The first of these members that is a text or a number, as a text without NULs; "" if none is."""
    for name in names:
        found = value.get(name)
        if isinstance(found, str) and found:
            return found.replace("\x00", "")
        if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < _LARGEST:
            return str(found)
    return ""


def part(value: Object, name: str) -> Object:
    """A member that is an object; an empty one if it is anything else."""
    found = value.get(name)
    return found if isinstance(found, dict) else _EMPTY


def parts(value: Object, name: str) -> Iterator[Object]:
    """The objects in a member that is a list."""
    found = value.get(name)
    return (item for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())


def number(value: Object, name: str) -> float | None:
    """A member that is a number or reads as one; None otherwise."""
    try:
        found = float(text(value, name))
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None


def flag(value: Object, name: str) -> bool:
    """Whether a member is true, however it is written."""
    return value.get(name) in (True, "true", "True", 1, "1")


def moment(value: Object, name: str) -> datetime | None:
    """A member that counts seconds since 1970, as a moment between 2000 and 2100; None otherwise."""
    seconds = number(value, name)
    if seconds is None or not 946_684_800 <= seconds < 4_102_444_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def chosen(value: Object, names: tuple[str, ...], limit: int = 500) -> dict[str, str]:
    """The named members that are texts or numbers, each cut to `limit` characters."""
    return {name: found[:limit] for name in names if (found := text(value, name))}
