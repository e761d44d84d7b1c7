"""Markdown to sections: headings become paths, tables become sentences, marks of style go."""

import re
from collections.abc import Iterator

from metachat.domain.knowledge.model import Section
from metachat.domain.knowledge.reading.outline import Outline
from metachat.domain.knowledge.reading.tables import rows_as_lines

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(```|~~~)")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]*-[\s:|-]*\|?\s*$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
# A cell of a table ends at a bar that is not escaped.
_BAR = re.compile(r"(?<!\\)\|")

_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\((?:[^()\s]|\([^()]*\))*(?:\s+\"[^\"]*\")?\)")
_STRONG = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1")
_EMPHASIS = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![\w*])")
_CODE = re.compile(r"`([^`\n]+)`")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")


def sections_of(markdown: str) -> list[Section]:
    """Cut Markdown at its headings."""
    outline, body = Outline(), list[str]()
    for line, heading in _lines(_FRONT_MATTER.sub("", markdown.replace("\r\n", "\n"))):
        if heading is None:
            body.append(line)
            continue
        outline.add(_body_text(body))
        body.clear()
        outline.open(*heading)
    outline.add(_body_text(body))
    return outline.finish()


def readable(text: str) -> str:
    """Text without Markdown's marks of style; what a link or an image says stays."""
    for pattern in (_IMAGE, _LINK, _STRONG, _EMPHASIS, _CODE, _ESCAPE):
        text = pattern.sub(lambda match: match.group(match.lastindex or 0), text)
    return text


def _lines(markdown: str) -> Iterator[tuple[str, tuple[int, str] | None]]:
    """Each line, with level and text when it is a heading; none is inside a code fence."""
    fenced = False
    for line in markdown.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
            continue
        match = None if fenced else _HEADING.match(line)
        text = readable(match.group(2)).strip() if match else ""
        yield line, (len(match.group(1)), text) if match and text else None


def _body_text(lines: list[str]) -> str:
    out: list[str] = []
    table: list[list[str]] = []
    for line in [*lines, ""]:
        if line.lstrip().startswith("|"):
            if not _TABLE_RULE.match(line):
                table.append(_cells(line))
            continue
        if table:
            out.extend(rows_as_lines(table))
            table = []
        out.append(readable(line.rstrip()))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip()


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [readable(cell.strip()) for cell in _BAR.split(inner)]
