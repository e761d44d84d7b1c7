"""A value that never shows itself."""

from typing import NoReturn

from metachat.foundation import redaction


class Secret:
    """A value that never shows itself: repr and str are dots."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        redaction.remember(value)

    def reveal(self) -> str:
        """The value itself; call it where it is used, never where it is printed."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        # A pickle would carry the value in the clear to wherever it is written.
        raise TypeError("a secret is not pickled")
