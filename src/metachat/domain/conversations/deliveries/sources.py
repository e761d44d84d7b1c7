"""What an answer rests on, written below it where a channel shows nothing but text. Pure."""

import re
from collections.abc import Sequence
from typing import Any

_PAGE = {"de": "S.", "hr": "str."}
_MARK = re.compile(r"\[(\d{1,3})\]")


def with_sources(text: str, citations: Sequence[dict[str, Any]], language: str | None) -> str:
    """Explain each mark like [1] in a text by the document, and the page, that it stands for."""
    marks = sorted({int(mark) for mark in _MARK.findall(text)})
    lines = [_line(mark, citations[mark - 1], language) for mark in marks if 0 < mark <= len(citations)]
    return "\n".join([text, "", *lines]) if lines else text


def _line(mark: int, citation: dict[str, Any], language: str | None) -> str:
    page = citation.get("page")
    where = f", {_PAGE.get(language or '', 'p.')} {page}" if page else ""
    return f"[{mark}] {citation.get('document', '')}{where}"
