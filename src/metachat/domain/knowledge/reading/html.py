"""The main text of a web page, under its headings; scripts, menus and footers are left out."""

import re
from html.parser import HTMLParser

from typing_extensions import override

from metachat.domain.knowledge.model import Section
from metachat.domain.knowledge.reading.outline import Outline
from metachat.domain.knowledge.reading.tables import rows_as_lines

# Never part of what a page says.
_SILENT = frozenset(
    "script style template noscript iframe svg nav footer aside select button head".split()  # noqa: SIM905
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """address article blockquote body caption dd details div dl dt fieldset figcaption figure form header hr
    li main ol p pre section summary ul""".split()  # noqa: SIM905
)


def sections_of_html(html: str) -> list[Section]:
    """Cut a page at its headings; what stands in <main>, when there is one, and else the whole body."""
    for only_main in ("main", None):
        page = _Page(only_main)
        page.feed(html)
        page.close()
        if sections := page.finish():
            return sections
    return []


class _Page(HTMLParser):
    """Collects text while the parser walks; a tag that is never closed does no harm past its parent."""

    def __init__(self, inside: str | None) -> None:
        super().__init__(convert_charrefs=True)
        self._inside, self._depth_inside = inside, 0
        self._silent: list[str] = []
        self._outline = Outline()
        self._heading: list[str] | None = None
        self._text: list[str] = []
        self._rows: list[list[str]] | None = None
        self._preformatted = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self._silent.append(tag)
        elif self._silent:
            return
        elif tag == self._inside:
            self._depth_inside += 1
        elif tag in _HEADINGS and self._reading():
            self._close_text()
            self._heading = []
        elif tag == "table" and self._rows is None:
            self._break()
            self._rows = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows:
            self._rows[-1].append("")
        elif tag == "br":
            self._add("\n")
        elif tag in _BLOCKS:
            self._break()
            self._add("- " if tag == "li" else "")
        self._preformatted += tag == "pre"

    @override
    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            if tag in self._silent:
                del self._silent[self._silent.index(tag) :]
            return
        if tag == self._inside:
            self._depth_inside = max(0, self._depth_inside - 1)
        elif tag in _HEADINGS and self._heading is not None:
            self._open_section(_HEADINGS[tag])
        elif tag == "table" and self._rows is not None:
            rows, self._rows = self._rows, None
            self._text.append("\n".join(rows_as_lines(rows)))
            self._break()
        elif tag in _BLOCKS:
            self._break()
        if tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)

    @override
    def handle_data(self, data: str) -> None:
        if not self._silent and self._reading():
            self._add(data if self._preformatted else re.sub(r"\s+", " ", data))

    def finish(self) -> list[Section]:
        """What was collected."""
        if self._heading is not None:
            self._open_section(6)
        if self._rows is not None:
            self._text.append("\n".join(rows_as_lines(self._rows)))
        self._close_text()
        return self._outline.finish()

    def _reading(self) -> bool:
        return self._inside is None or self._depth_inside > 0

    def _add(self, text: str) -> None:
        if self._heading is not None:
            self._heading.append(text)
        elif self._rows and self._rows[-1]:
            self._rows[-1][-1] += text
        elif self._reading():
            self._text.append(text)

    def _break(self) -> None:
        if self._heading is None and self._rows is None:
            self._text.append("\n")
        else:
            self._add(" ")

    def _open_section(self, level: int) -> None:
        title = " ".join("".join(self._heading or []).split())
        self._heading = None
        if title:
            self._outline.open(level, title)

    def _close_text(self) -> None:
        lines = (line.strip() for line in "".join(self._text).split("\n"))
        text = "\n".join(line for line in lines if line != "-")
        self._text.clear()
        self._outline.add(re.sub(r"\n{3,}", "\n\n", text).strip())
