"""Cuts a document's sections into chunks that keep their page and headings."""

from collections.abc import Iterable

from semantic_text_splitter import TextSplitter

from metachat.domain.knowledge.model import Chunk, Section

# Characters: a chunk is full from the first number on, and never longer than the second.
CAPACITY = (500, 900)

# A heading path longer than this is cut at its outer end: it goes into every chunk under it.
HEADING_LIMIT = 300

_SPLITTER = TextSplitter(CAPACITY)


def chunk(sections: Iterable[Section]) -> list[Chunk]:
    """Cut sections into chunks, in order; none spans two sections, and nothing but white space is lost."""
    pieces = (
        (section, text) for section in sections for text in _SPLITTER.chunks(section.text.replace("\0", ""))
    )
    return [
        Chunk(position, section.page, _bounded(section.heading), text)
        for position, (section, text) in enumerate(pieces)
    ]


def for_embedding(chunk: Chunk) -> str:
    """The text that is embedded for a chunk: with its headings, since they often name the subject."""
    return f"{chunk.heading}\n{chunk.text}" if chunk.heading else chunk.text


def _bounded(heading: str | None) -> str | None:
    if heading is None:
        return None
    return heading.replace("\0", "")[-HEADING_LIMIT:] or None
