"""Rows of a table as lines that explain themselves, so that a chunk needs no header above it."""

import csv
import io
from collections.abc import Iterator, Sequence

from metachat.domain.knowledge.model import Section

_DELIMITERS = ",;\t|"


def rows_as_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Each row as "header: value; header: value"; the first row is the header, alone it is a line itself."""
    cleaned = [[" ".join(cell.split()) for cell in row] for row in rows]
    filled = [row for row in cleaned if any(row)]
    if not filled:
        return []
    header, *body = filled
    if not body:
        return ["; ".join(cell for cell in header if cell)]
    # A name over an empty column is said by no row; then the header is a line too, so that it is not lost.
    unsaid = any(
        name and not any(row[i : i + 1] != [] and row[i] for row in body) for i, name in enumerate(header)
    )
    lines = ["; ".join(filter(None, header))] if unsaid else []
    return lines + [_line(header, row) for row in body]


# The limit belongs to the whole process; it is only ever raised, to more than any file may hold.
_LONGEST_FIELD = 1 << 30


def sections_of_csv(text: str) -> list[Section]:
    """The rows of a CSV, whose delimiter is guessed, as one section."""
    # A field may be as long as the file: a quote that is never closed must not become an error.
    csv.field_size_limit(_LONGEST_FIELD)
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)))
    lines = rows_as_lines(rows)
    return [Section("\n".join(lines))] if lines else []


def _line(header: Sequence[str], row: Sequence[str]) -> str:
    return "; ".join(_pairs(header, row))


def _pairs(header: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for index, cell in enumerate(row):
        if cell:
            name = header[index] if index < len(header) else ""
            yield f"{name}: {cell}" if name else cell


def _delimiter(text: str) -> str:
    """The delimiter that occurs most evenly in the first lines."""
    lines = [line for line in text[:20_000].splitlines() if line.strip()][:20]
    counts = {mark: [line.count(mark) for line in lines] for mark in _DELIMITERS}
    return max(_DELIMITERS, key=lambda mark: (min(counts[mark], default=0), sum(counts[mark])))
