"""Errors as named facts: what a caller may be told, and how each edge maps it."""

from enum import Enum
from typing import Any, ClassVar

from metachat.foundation import redaction


class Kind(Enum):
    """What sort of refusal it is; each edge maps a kind once."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"


STATUS: dict[Kind, int] = {
    Kind.INVALID: 422,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.THROTTLED: 429,
    Kind.UNAVAILABLE: 503,
}

# Exit codes of sysexits.h, so that scripts can tell a wrong call from a service that is away.
EXIT: dict[Kind, int] = {
    Kind.INVALID: 65,
    Kind.UNAUTHENTICATED: 77,
    Kind.FORBIDDEN: 77,
    Kind.NOT_FOUND: 66,
    Kind.CONFLICT: 65,
    Kind.TOO_LARGE: 65,
    Kind.UNSUPPORTED: 65,
    Kind.THROTTLED: 75,
    Kind.UNAVAILABLE: 69,
}


class Refusal(Exception):
    """The request was refused."""

    code: ClassVar[str] = "refused"
    kind: ClassVar[Kind] = Kind.INVALID

    def __init__(self, detail: str | None = None, **facts: Any) -> None:
        """Refuse, with a detail for the reader and facts (JSON values) for programs."""
        self.detail = detail
        self.facts = facts
        super().__init__(detail or self.sentence)

    @property
    def sentence(self) -> str:
        """The first line of the class's docstring: what the user reads."""
        return (type(self).__doc__ or Refusal.__doc__ or "").strip().splitlines()[0]


class Invalid(Refusal):
    """The request is not valid."""

    code = "invalid"
    kind = Kind.INVALID


class Unavailable(Refusal):
    """A service that this needs is away; try again shortly."""

    code = "unavailable"
    kind = Kind.UNAVAILABLE


def problem(refusal: Refusal, instance: str | None = None) -> dict[str, Any]:
    """Describe a refusal as a problem document (RFC 9457)."""
    document: dict[str, Any] = {
        "type": f"urn:metachat:problem:{refusal.code}",
        "title": refusal.sentence,
        "status": STATUS[refusal.kind],
        "code": refusal.code,
    }
    if refusal.detail:
        document["detail"] = redaction.hide(refusal.detail)
    if instance:
        document["instance"] = redaction.hide(instance)
    return {**redaction.hide_in(refusal.facts), **document}
