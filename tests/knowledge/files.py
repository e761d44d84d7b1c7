"""Real files for the tests, made on the spot."""

import io
import zipfile
from collections.abc import Sequence
from typing import Any

import docx
import openpyxl
import pptx
from fpdf import FPDF


def pdf(pages: Sequence[str], *, password: str | None = None) -> bytes:
    """A PDF with one text a page; with a password it cannot be opened without."""
    document = FPDF()
    for text in pages:
        document.add_page()
        document.set_font("helvetica", size=12)
        document.multi_cell(0, 6, text)
    if password is not None:
        document.set_encryption(owner_password=password + "-owner", user_password=password)
    return bytes(document.output())


def word(parts: Sequence[tuple[str, str]], table: Sequence[Sequence[str]] = ()) -> bytes:
    """A DOCX of (style, text) paragraphs, and a table."""
    document = docx.Document()
    for style, text in parts:
        document.add_paragraph(text, style=style)
    if table:
        grid = document.add_table(len(table), len(table[0]))
        for row, cells in enumerate(table):
            for column, text in enumerate(cells):
                grid.cell(row, column).text = text
    return _saved(document)


def slides(pages: Sequence[tuple[str, str]], notes: str = "") -> bytes:
    """A PPTX with a title and a text on each slide, and notes on the first."""
    show = pptx.Presentation()
    for number, (title, text) in enumerate(pages):
        slide = show.slides.add_slide(show.slide_layouts[1])
        shapes: Any = slide.shapes
        shapes.title.text = title
        shapes.placeholders[1].text = text
        if notes and number == 0:
            note: Any = slide.notes_slide.notes_text_frame
            note.text = notes
    return _saved(show)


def sheets(tables: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """An XLSX with one sheet a table."""
    book: Any = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in tables.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return _saved(book)


def bomb(mebibytes: int) -> bytes:
    """An XLSX whose one sheet unpacks to so many mebibytes of the same cell."""
    # Packed in haste: it has to be large once unpacked, not small before.
    honest = zipfile.ZipFile(io.BytesIO(sheets({"Prices": [["Tent", 1]]})))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        for entry in honest.infolist():
            if entry.filename != "xl/worksheets/sheet1.xml":
                package.writestr(entry, honest.read(entry))
        with package.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(
                b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row>'
            )
            cells = b'<c t="inlineStr"><is><t>aaaaaaaaaaaaaaaa</t></is></c>' * 20_000
            for _ in range(mebibytes * 1024 * 1024 // len(cells)):
                sheet.write(cells)
            sheet.write(b"</row></sheetData></worksheet>")
    return out.getvalue()


def locked_office() -> bytes:
    """What Office makes of a document with a password: an OLE container with an encrypted package."""
    return (
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504) + "EncryptedPackage".encode("utf-16-le") + bytes(2048)
    )


def _saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()
