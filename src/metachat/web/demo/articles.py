"""The help centre's documents, as they lie in the demo's folder."""

import csv
import html.parser
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from typing_extensions import override

from metachat import demo

_FOLDER = Path(demo.__file__).parent / "help"
_FILES = {
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of an article: kind is "h2", "p", "li" or "row" (then cells are its text)."""

    kind: str
    text: str = ""
    cells: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Article:
    """One document of the help centre; blocks are empty for what is only a file."""

    language: str
    name: str
    title: str
    content: bytes
    blocks: tuple[Block, ...]

    @property
    def kind(self) -> str:
        """What a reader knows the file's type as."""
        return self.name.rsplit(".", 1)[-1].upper()

    @property
    def is_file(self) -> bool:
        """Tell whether this is shown as a file rather than a page."""
        return Path(self.name).suffix in _FILES

    @property
    def media_type(self) -> str:
        """The file's media type."""
        return _FILES[Path(self.name).suffix]


@cache
def in_language(language: str) -> tuple[Article, ...]:
    """List the articles in a language; read once per process."""
    folder = _FOLDER / language
    return tuple(_read(language, path) for path in sorted(folder.iterdir()) if path.is_file())


def find(language: str, name: str) -> Article | None:
    """Find an article by its language and file name; None when there is none."""
    if language not in {folder.name for folder in _FOLDER.iterdir()}:
        return None
    return next((article for article in in_language(language) if article.name == name), None)


def _read(language: str, path: Path) -> Article:
    content = path.read_bytes()
    if path.suffix in _FILES:
        return Article(language, path.name, _spoken(path.stem, language), content, ())
    text = content.decode("utf-8")
    readers = {".md": _markdown, ".html": _html, ".csv": _csv, ".txt": _plain}
    blocks = readers[path.suffix](text)
    if blocks and blocks[0].kind == "h1":
        # Capitals alone make no title that can be read in a list.
        title = _spoken(path.stem, language) if blocks[0].text.isupper() else blocks[0].text
        return Article(language, path.name, title, content, tuple(blocks[1:]))
    return Article(language, path.name, _spoken(path.stem, language), content, tuple(blocks))


def _spoken(stem: str, language: str) -> str:
    text = stem.replace("-", " ").replace("ue", "ü").capitalize()
    # German nouns keep their capital; the only small word in our file names is "und".
    return text.title().replace(" Und ", " und ") if language == "de" else text


def _markdown(text: str) -> list[Block]:
    blocks = []
    for line in text.splitlines():
        heading = re.match(r"(#{1,3}) (.*)", line)
        if heading:
            blocks.append(Block("h1" if len(heading[1]) == 1 else "h2", heading[2]))
        elif line.startswith("- "):
            blocks.append(Block("li", line[2:]))
        elif re.match(r"\|[-| ]+\|$", line):
            continue
        elif line.startswith("|"):
            blocks.append(Block("row", cells=tuple(cell.strip() for cell in line.strip("|").split("|"))))
        elif line.strip():
            blocks.append(Block("p", line))
    return blocks


def _plain(text: str) -> list[Block]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    blocks = [Block("h1", _calm(lines[0]))]
    for line in lines[1:]:
        short = len(line) < 60 and line[-1] not in ".:!?" and not line[0].isdigit()
        blocks.append(Block("h2" if short else "p", _calm(line) if short else line))
    return blocks


def _calm(line: str) -> str:
    """Set a heading in capitals as a sentence, where no German noun would lose its own."""
    german = any(word in line for word in ("DAS", "DER", "DIE", "UND"))
    return line.capitalize() if line.isupper() and not german else line


def _csv(text: str) -> list[Block]:
    return [Block("row", cells=tuple(row)) for row in csv.reader(io.StringIO(text))]


def _html(text: str) -> list[Block]:
    reader = _Reader()
    reader.feed(text)
    return reader.blocks


class _Reader(html.parser.HTMLParser):
    """Takes the text out of our own simple pages; what they are made of is known."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: list[Block] = []
        self._kind: str | None = None
        self._text = ""
        self._cells: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h1", "h2", "h3", "p", "li", "td", "th"):
            self._kind, self._text = tag, ""
        elif tag == "tr":
            self._cells = []

    @override
    def handle_data(self, data: str) -> None:
        if self._kind:
            self._text += data

    @override
    def handle_endtag(self, tag: str) -> None:
        text = " ".join(self._text.split())
        if tag in ("td", "th"):
            self._cells.append(text)
        elif tag == "tr":
            self.blocks.append(Block("row", cells=tuple(self._cells)))
        elif tag == self._kind and text:
            self.blocks.append(Block("h2" if tag == "h3" else tag, text))
        if tag == self._kind:
            self._kind = None
