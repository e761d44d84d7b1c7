"""Office documents: what a zip may hold, list items that the extraction drops, slides with their titles."""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from metachat.domain.knowledge.model import Section
from metachat.domain.knowledge.reading.model import Unreadable
from metachat.domain.knowledge.reading.tables import rows_as_lines

# Honest Office files hold a few hundred parts that shrink to a tenth; XML of one repeated cell reaches
# 1:200. Past these bounds lies a bomb, or a file that would not be worth its memory.
_MAX_ENTRIES = 10_000
_MAX_UNPACKED = 400 * 1024 * 1024
_MAX_RATIO = 150
_SMALL = 5 * 1024 * 1024

_MAIN_PART = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"

# How an archive says that its bytes are not what they should be.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError)


def check_package(path: Path, kind: str) -> None:
    """Refuse what is no Office file of this kind, or would unpack to something huge; raises Unreadable."""
    if path.open("rb").read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise Unreadable(_ole_reason(path))
    try:
        with zipfile.ZipFile(path) as package:
            entries = package.infolist()
    except (*_DAMAGED, ValueError) as error:
        raise Unreadable("broken") from error
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(path.stat().st_size, 1)
    if len(entries) > _MAX_ENTRIES or unpacked > _MAX_UNPACKED:
        raise Unreadable("unpacks_too_large")
    if unpacked > _SMALL and unpacked / packed > _MAX_RATIO:
        raise Unreadable("unpacks_too_large")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("encrypted")
    if _MAIN_PART[kind] not in {entry.filename for entry in entries}:
        raise Unreadable("wrong_extension")


def mark_list_items(path: Path, markdown: str) -> str:
    """Put a bullet before each line that is a list item in the document: the extraction drops them."""
    items = _list_items(path)
    wanted = next(items, None)
    lines: list[str] = []
    for line in markdown.split("\n"):
        if wanted is not None and line.strip() and _letters(line) == wanted:
            # List items stand close together, as the document shows them.
            if len(lines) > 1 and not lines[-1] and lines[-2].startswith("- "):
                lines.pop()
            line = "- " + line.strip()
            wanted = next(items, None)
        lines.append(line)
    return "\n".join(lines)


def read_slides(path: Path) -> tuple[list[Section], int]:
    """The text of each slide under its title, with notes; and the number of slides."""
    sections: list[Section] = []
    with _package(path) as package:
        slides = _slide_parts(package)
        for number, part in enumerate(slides, start=1):
            tree = _parse(package, part)
            title = " ".join(_paragraphs(shape) for shape in tree.iter(f"{_P}sp") if _is_title(shape)).strip()
            body = "\n".join(text for text in (*_slide_body(tree), *_notes(package, part)) if text)
            if body or title:
                sections.append(Section(body or title, number, " ".join(title.split()) or None))
    return sections, len(slides)


def _ole_reason(path: Path) -> str:
    # A protected Office file is an OLE container with a stream of this name (UTF-16).
    data = path.read_bytes()
    return "encrypted" if "EncryptedPackage".encode("utf-16-le") in data else "old_office"


def _package(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise Unreadable("broken") from error


def _parse(package: zipfile.ZipFile, part: str) -> ElementTree.Element:
    try:
        data = package.read(part)
        if b"<!DOCTYPE" in data[:4096]:
            raise Unreadable("broken")  # no Office file has one; it is how XML bombs begin
        return ElementTree.fromstring(data)  # noqa: S314 - no DOCTYPE, so no entities to expand
    except (*_DAMAGED, KeyError, ElementTree.ParseError, ValueError) as error:
        raise Unreadable("broken") from error


def _list_items(path: Path) -> Iterator[str]:
    with _package(path) as package:
        document = _parse(package, _MAIN_PART["docx"])
    for paragraph in document.iter(f"{_W}p"):
        properties = paragraph.find(f"{_W}pPr")
        style = properties.find(f"{_W}pStyle") if properties is not None else None
        numbered = properties is not None and properties.find(f"{_W}numPr") is not None
        name = style.get(f"{_W}val", "") if style is not None else ""
        if (numbered or name.startswith(("List", "Aufzhlung"))) and not name.startswith(
            ("Heading", "berschrift")
        ):
            text = _letters("".join(node.text or "" for node in paragraph.iter(f"{_W}t")))
            if text:
                yield text


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text)


def _slide_parts(package: zipfile.ZipFile) -> list[str]:
    """The slides' parts in the order of the presentation."""
    targets = _relations(package, _MAIN_PART["pptx"])
    listed = _parse(package, _MAIN_PART["pptx"]).iter(f"{_P}sldId")
    parts = [targets.get(slide.get(f"{_R}id", ""), "") for slide in listed]
    return [part for part in parts if part]


def _relations(package: zipfile.ZipFile, part: str) -> dict[str, str]:
    folder = PurePosixPath(part).parent
    name = str(folder / "_rels" / f"{PurePosixPath(part).name}.rels")
    if name not in package.namelist():
        return {}
    return {
        node.get("Id", ""): _resolve(folder, node.get("Target", ""))
        for node in _parse(package, name)
        if node.get("TargetMode") != "External"
    }


def _resolve(folder: PurePosixPath, target: str) -> str:
    parts: list[str] = []
    for piece in (PurePosixPath(target) if target.startswith("/") else folder / target).parts:
        if piece == "..":
            parts = parts[:-1]
        elif piece != "/":
            parts.append(piece)
    return "/".join(parts)


def _is_title(shape: ElementTree.Element) -> bool:
    return any(mark.get("type") in ("title", "ctrTitle") for mark in shape.iter(f"{_P}ph"))


def _slide_body(tree: ElementTree.Element) -> Iterator[str]:
    titles = {
        id(paragraph)
        for shape in tree.iter(f"{_P}sp")
        if _is_title(shape)
        for paragraph in shape.iter(f"{_A}p")
    }
    tables = [paragraph for table in tree.iter(f"{_A}tbl") for paragraph in table.iter(f"{_A}p")]
    elsewhere = titles | {id(paragraph) for paragraph in tables}
    for node in tree.iter():
        if node.tag == f"{_A}tbl":
            rows = [[_paragraphs(cell) for cell in row.iter(f"{_A}tc")] for row in node.iter(f"{_A}tr")]
            yield from rows_as_lines(rows)
        elif node.tag == f"{_A}p" and id(node) not in elsewhere:
            yield _text(node)


def _notes(package: zipfile.ZipFile, part: str) -> Iterator[str]:
    for target in _relations(package, part).values():
        if "/notesSlides/" in f"/{target}":
            for shape in _parse(package, target).iter(f"{_P}sp"):
                if any(mark.get("type") == "body" for mark in shape.iter(f"{_P}ph")):
                    yield _paragraphs(shape)


def _paragraphs(node: ElementTree.Element) -> str:
    return "\n".join(filter(None, (_text(paragraph) for paragraph in node.iter(f"{_A}p"))))


def _text(paragraph: ElementTree.Element) -> str:
    pieces = [
        "\n" if node.tag == f"{_A}br" else node.text or ""
        for node in paragraph.iter()
        if node.tag in (f"{_A}t", f"{_A}br")
    ]
    return "".join(pieces).strip()
