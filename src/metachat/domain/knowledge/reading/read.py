"""Reads a file of a known kind into sections."""

from pathlib import Path

from kreuzberg import (
    ConcurrencyConfig,
    ContentFilterConfig,
    ExtractionConfig,
    ExtractionResult,
    KreuzbergError,
    PageConfig,
    extract_file_sync,
)

from metachat.domain.knowledge.model import Section
from metachat.domain.knowledge.reading.html import sections_of_html
from metachat.domain.knowledge.reading.markup import sections_of
from metachat.domain.knowledge.reading.model import Reading, Unreadable
from metachat.domain.knowledge.reading.office import check_package, mark_list_items, read_slides
from metachat.domain.knowledge.reading.tables import rows_as_lines, sections_of_csv
from metachat.domain.knowledge.reading.text import clean, decode, unwrap

_MEDIA_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def read(path: Path, kind: str) -> Reading:
    """Read a file; kind is the name of a FileType. Raises Unreadable."""
    if kind in ("docx", "pptx", "xlsx"):
        check_package(path, kind)
    reading = _READERS[kind](path)
    if not any(section.text.strip() for section in reading.sections):
        raise Unreadable("no_text")
    return reading


def _read_pdf(path: Path) -> Reading:
    # Text mode: the Markdown mode invents bullets where a line begins with a dash or a number.
    result = _extract(path, "pdf", "plain")
    pages = result.pages or []
    sections = [
        Section(text, page.get("page_number"))
        for page in pages
        if (text := unwrap(clean(page.get("content") or "")))
    ]
    return Reading(sections, len(pages))


def _read_docx(path: Path) -> Reading:
    markdown = clean(_extract(path, "docx", "markdown").content)
    return Reading(sections_of(mark_list_items(path, markdown)))


def _read_pptx(path: Path) -> Reading:
    sections, slides = read_slides(path)
    return Reading([Section(clean(s.text), s.page, s.heading and clean(s.heading)) for s in sections], slides)


def _read_xlsx(path: Path) -> Reading:
    result = _extract(path, "xlsx", "plain")
    names = result.metadata.get("sheet_names") or []
    sections: list[Section] = []
    for table in result.tables:
        lines = rows_as_lines([[_cell(cell) for cell in row] for row in table.cells])
        sheet = names[table.page_number - 1] if table.page_number <= len(names) else None
        if lines:
            sections.append(Section("\n".join(lines), None, sheet))
    return Reading(sections)


def _cell(text: str) -> str:
    # A date is stored with a time of day, which the sheet doesn't show.
    return clean(text).removesuffix(" 00:00:00")


def _read_html(path: Path) -> Reading:
    return Reading(sections_of_html(decode(path.read_bytes())))


def _read_markdown(path: Path) -> Reading:
    return Reading(sections_of(decode(path.read_bytes())))


def _read_text(path: Path) -> Reading:
    text = decode(path.read_bytes()).strip()
    return Reading([Section(text)] if text else [])


def _read_csv(path: Path) -> Reading:
    return Reading(sections_of_csv(decode(path.read_bytes())))


def _extract(path: Path, kind: str, form: str) -> ExtractionResult:
    config = ExtractionConfig(
        use_cache=False,
        enable_quality_processing=False,
        output_format=form,
        pages=PageConfig(extract_pages=kind == "pdf"),
        concurrency=ConcurrencyConfig(max_threads=1),
        # What repeats on every page of a short document may be the answer; keep it.
        content_filter=ContentFilterConfig(
            include_headers=True, include_footers=True, strip_repeating_text=False
        ),
    )
    try:
        return extract_file_sync(str(path), mime_type=_MEDIA_TYPES[kind], config=config)
    except (KreuzbergError, RuntimeError) as error:  # RuntimeError: its parser panicked
        protected = "password" in str(error).lower() or "encrypt" in str(error).lower()
        raise Unreadable("encrypted" if protected else "broken") from error


_READERS = {
    "pdf": _read_pdf,
    "docx": _read_docx,
    "pptx": _read_pptx,
    "xlsx": _read_xlsx,
    "html": _read_html,
    "md": _read_markdown,
    "txt": _read_text,
    "csv": _read_csv,
}
