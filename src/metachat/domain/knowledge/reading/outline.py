"""The headings of a document while it is read: which ones a text stands under."""

from metachat.domain.knowledge.model import Section

SEPARATOR = " > "


class Outline:
    """Collects sections: open a heading, add the text below it, finish at the end.

    A heading with nothing under it becomes text itself, so that it can be found. The first one of a
    document is its title when others of its level follow: then it stands above them all.
    """

    def __init__(self) -> None:
        self._path: list[tuple[int, str]] = []
        self._sections: list[Section] = []
        self._text = ""

    def open(self, level: int, title: str) -> None:
        """Begin a heading of a level (1 is the outermost), which ends those of its level and below."""
        if self._is_title(level):
            self._path = [(0, self._path[0][1])]
        self._close(level)
        self._path = [*((above, text) for above, text in self._path if above < level), (level, title)]

    def add(self, text: str) -> None:
        """Add text under the present heading."""
        self._text = f"{self._text}\n{text}" if self._text else text

    def finish(self) -> list[Section]:
        """Give what was collected."""
        self._close(0)
        return self._sections

    def _is_title(self, level: int) -> bool:
        first = len(self._path) == 1 and not self._sections and not self._text.strip()
        return first and self._path[0][0] == level

    def _close(self, next_level: int) -> None:
        text, self._text = self._text.strip(), ""
        if not text and self._path and next_level <= self._path[-1][0]:
            text = self._path[-1][1]
        if text:
            heading = SEPARATOR.join(title for _, title in self._path) or None
            self._sections.append(Section(text, None, heading))
