"""What reading a file gives, and why it may fail."""

from dataclasses import dataclass

from metachat.domain.knowledge.model import Section


@dataclass(frozen=True, slots=True)
class Reading:
    """The text of a file; pages is None for what has none."""

    sections: list[Section]
    pages: int | None = None


class Unreadable(Exception):
    """A file whose text cannot be had; `code` says why (see extraction.MESSAGES)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
