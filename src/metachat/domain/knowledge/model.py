"""What a company knows: documents, the passages cut from them, and what can go wrong with either."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import DocumentId

Status = Literal["pending", "processing", "ready", "failed", "stale"]


class DocumentNotFound(Refusal):
    """There is no such document."""

    code = "document_not_found"
    kind = Kind.NOT_FOUND


class PassageNotFound(Refusal):
    """There is no such passage; its document may have been replaced or deleted."""

    code = "passage_not_found"
    kind = Kind.NOT_FOUND


class UnsupportedFile(Refusal):
    """This kind of file cannot be read; use pdf, docx, pptx, xlsx, html, md, txt or csv."""

    code = "unsupported_file"
    kind = Kind.UNSUPPORTED


class WrongExtension(Refusal):
    """The file is not what its extension says."""

    code = "wrong_extension"
    kind = Kind.UNSUPPORTED


class EmptyFile(Refusal):
    """The file is empty."""

    code = "empty_file"


class BadName(Refusal):
    """A document needs a file name of 1 to 200 characters."""

    code = "bad_name"


@dataclass(frozen=True, slots=True)
class Document:
    """A file and how far the platform is with it.

    error_code and error_message are set when status is "failed" or "stale"; the message says what to do.
    pages is None for what has no pages; chunks_total is None until the text is extracted.
    indexed_sha256 names the version that answers now; it differs from sha256 while a newer one is
    being read, and is None before the first.
    """

    id: DocumentId
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    version: int
    status: Status
    error_code: str | None
    error_message: str | None
    language: str | None
    pages: int | None
    chunks_done: int
    chunks_total: int | None
    indexed_sha256: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Section:
    """Text that stands under one heading, on one page.

    page counts from 1, None where there are no pages. heading is the path of headings, outermost first,
    joined by " > "; None outside of any.
    """

    text: str
    page: int | None = None
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document, small enough to be found and cited; position counts from 0."""

    position: int
    page: int | None
    heading: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk that may answer a question.

    score is the reciprocal rank fusion of both searches; similarity the cosine of question and passage
    (0.0 when vectors cannot be compared); lexical the rank of the full-text search, 0.0 when no word of
    the question occurs.
    """

    chunk_id: int
    document_id: DocumentId
    document: str
    page: int | None
    heading: str | None
    text: str
    language: str
    position: int
    score: float = 0.0
    similarity: float = 0.0
    lexical: float = 0.0
