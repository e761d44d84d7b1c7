"""What is read out of each kind of file, and that no input at all is a surprise."""

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metachat.domain.knowledge import Section
from metachat.domain.knowledge.filetypes import Family, check_content, family_of
from metachat.domain.knowledge.model import EmptyFile, UnsupportedFile, WrongExtension
from metachat.domain.knowledge.reading.html import sections_of_html
from metachat.domain.knowledge.reading.markup import readable, sections_of
from metachat.domain.knowledge.reading.model import Unreadable
from metachat.domain.knowledge.reading.read import read
from metachat.domain.knowledge.reading.tables import rows_as_lines, sections_of_csv
from metachat.domain.knowledge.reading.text import clean, decode, unwrap
from tests.knowledge import files

unicode_text = st.text(st.characters(exclude_categories=["Cs"]))


def written(tmp_path: Path, name: str, content: bytes) -> Path:
    """A file with this content."""
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_a_word_document_keeps_headings_lists_and_tables(tmp_path: Path) -> None:
    content = files.word(
        [
            ("Title", "Care guide"),
            ("Heading 1", "Jackets"),
            ("Normal", "Wash at 30 degrees."),
            ("List Bullet", "No softener"),
            ("List Bullet", "No tumble dryer"),
            ("Heading 2", "Wax"),
        ],
        [["Item", "Price"], ["Wax", "9 EUR"]],
    )
    assert read(written(tmp_path, "a.docx", content), "docx").sections == [
        Section("Wash at 30 degrees.\n\n- No softener\n- No tumble dryer", None, "Care guide > Jackets"),
        Section("Item: Wax; Price: 9 EUR", None, "Care guide > Jackets > Wax"),
    ]


def test_slides_keep_their_number_title_and_notes(tmp_path: Path) -> None:
    content = files.slides([("Welcome", "First\nSecond"), ("Opening hours", "9 to 17")], notes="Say hello")
    reading = read(written(tmp_path, "a.pptx", content), "pptx")
    assert reading.pages == 2
    assert reading.sections == [
        Section("First\nSecond\nSay hello", 1, "Welcome"),
        Section("9 to 17", 2, "Opening hours"),
    ]


def test_rows_of_sheets_explain_themselves(tmp_path: Path) -> None:
    content = files.sheets({"Prices": [["Product", "Price"], ["Tent", 199.5], ["Boots", None]], "Empty": []})
    assert read(written(tmp_path, "a.xlsx", content), "xlsx").sections == [
        Section("Product: Tent; Price: 199.5\nProduct: Boots", None, "Prices")
    ]


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    long = "The warranty covers every fault of material and of workmanship that shows within two years. " * 3
    reading = read(written(tmp_path, "a.pdf", files.pdf([long, "- one\n- two"])), "pdf")
    assert reading.pages == 2
    assert reading.sections == [Section(long.strip(), 1), Section("- one\n- two", 2)]


def test_a_web_page_loses_what_is_not_its_text() -> None:
    page = """<html><head><title>T</title><script>alert("evil")</script><style>b{}</style></head><body>
    <nav><a href=/>Home</a></nav><main><h1>Versand</h1><p>Wir liefern in <b>3</b> Tagen &amp; gern.
    <ul><li>Eins<li>Zwei
    </ul><h2>Kosten</h2><table><tr><th>Art<th>Preis<tr><td>Standard<td>4,90</table><script>more()</script></main>
    <footer>Impressum</footer></body></html>"""
    assert sections_of_html(page) == [
        Section("Wir liefern in 3 Tagen & gern.\n\n- Eins\n- Zwei", None, "Versand"),
        Section("Art: Standard; Preis: 4,90", None, "Versand > Kosten"),
    ]


def test_markdown_loses_its_marks_only() -> None:
    text = "# A\n\nSome *fine* **words**, [a link](https://example.org/x_(y)), `code`, 2 * 3 * 4.\n\n"
    text += "## B\n\n# C\n\n```\n# no heading\n```\n"
    assert sections_of(text) == [
        Section("Some fine words, a link, code, 2 * 3 * 4.", None, "A"),
        Section("B", None, "A > B"),
        Section("# no heading", None, "C"),
    ]
    assert sections_of("---\ntitle: x\n---\n# Title\n\n# First\n\ntext") == [
        Section("text", None, "Title > First")
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_with_any_delimiter(delimiter: str) -> None:
    text = f'zone{delimiter}price\n"Austria{delimiter} Styria"{delimiter}4.90\n'
    assert sections_of_csv(text) == [
        Section(f"zone: Austria{delimiter} Styria; price: 4.90".replace("\t ", " "))
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Größe š".encode(), "Größe š"),
        ("\ufeffGröße".encode(), "Größe"),
        ("Größe šđ".encode("utf-16"), "Größe šđ"),
        (
            "Kako mogu vratiti paket koji nije došao u roku? Čekam već tjedan.".encode("cp1250"),
            "Kako mogu vratiti paket koji nije došao u roku? Čekam već tjedan.",
        ),
        (
            "Où est le café de la gare ? C'est très près.".encode("cp1252"),
            "Où est le café de la gare ? C'est très près.",
        ),
    ],
)
def test_text_in_the_encodings_that_people_have(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_lines_that_a_page_broke_are_joined() -> None:
    broken = "The parcel leaves our ware-\nhouse on the same day when you\norder before noon."
    whole = "The parcel leaves our warehouse on the same day when you order before noon."
    apart = "\n\n- Graz\n- Linz\nShort line\nAnother short one"
    assert unwrap(broken + apart) == whole + apart


@pytest.mark.parametrize(
    ("head", "family"),
    [
        (b"%PDF-1.7", Family.PDF),
        (b"junk\n%PDF-1.7", Family.PDF),
        (b"PK\x03\x04", Family.ZIP),
        (bytes.fromhex("d0cf11e0a1b11ae1"), Family.OLE),
        ("Größe".encode(), Family.TEXT),
        ("Größe".encode("utf-16"), Family.TEXT),
        (b"\x7fELF\x00", Family.BINARY),
    ],
)
def test_the_family_shows_in_the_first_bytes(head: bytes, family: Family) -> None:
    assert family_of(head) == family


@given(st.sampled_from(["a.pdf", "a.docx", "a.html", "a.csv", "a", "a.exe"]), st.binary(max_size=3000))
def test_any_head_is_accepted_or_named(name: str, head: bytes) -> None:
    with contextlib.suppress(EmptyFile, UnsupportedFile, WrongExtension):  # anything else would be a surprise
        assert family_of(head) in check_content(name, head).families


@given(unicode_text)
def test_any_markdown_is_read(text: str) -> None:
    for section in sections_of(text):
        assert section.text.strip()


@given(
    st.lists(
        st.tuples(
            st.integers(1, 6), st.text("abcdef ", min_size=1).map(str.strip).filter(bool), st.text("xyz .\n")
        ),
        max_size=8,
    )
)
def test_no_heading_and_no_text_of_markdown_is_lost(parts: list[tuple[int, str, str]]) -> None:
    markdown = "\n".join(f"{'#' * level} {title}\n{body}" for level, title, body in parts)
    said = "".join(f"{section.heading} {section.text}" for section in sections_of(markdown))
    for _, title, body in parts:
        assert title in said
        assert all(line.strip() in said for line in body.split("\n"))


@given(st.text(st.sampled_from("<>/abhlpitdr123 =\"'!-&;\n")) | unicode_text)
def test_any_html_is_read(html: str) -> None:
    for section in sections_of_html(html):
        assert section.text.strip()


@given(st.lists(st.lists(st.text("abc1 \n", max_size=5), min_size=1, max_size=4), max_size=6))
def test_no_cell_of_a_table_is_lost(rows: list[list[str]]) -> None:
    said = "\n".join(rows_as_lines(rows))
    assert all(" ".join(cell.split()) in said for row in rows for cell in row)


@given(unicode_text)
def test_any_csv_is_read(text: str) -> None:
    for section in sections_of_csv(clean(text)):
        assert section.text.strip()


@given(unicode_text)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert unwrap(readable(clean(text))) is not None


GOOD = {
    "pdf": files.pdf(["Hello"]),
    "docx": files.word([("Normal", "Hello")]),
    "pptx": files.slides([("A", "b")]),
    "xlsx": files.sheets({"A": [["a", 1]]}),
    **dict.fromkeys(["html", "md", "txt", "csv"], b"Hello"),
}


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=400), st.floats(0, 1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_files_are_unreadable_or_read(tmp_path: Path, kind: str, noise: bytes, where: float) -> None:
    good = GOOD[kind]
    at = int(where * len(good))
    path = written(tmp_path, f"damaged.{kind}", good[:at] + noise + good[at + len(noise) :])
    with contextlib.suppress(Unreadable):  # anything else would be a surprise
        assert read(path, kind).sections


@pytest.mark.parametrize("kind", ["docx", "pptx", "xlsx"])
def test_an_archive_damaged_anywhere_is_said_to_be_broken_or_is_read(tmp_path: Path, kind: str) -> None:
    good, chance = GOOD[kind], random.Random(7)
    for _ in range(400):
        at = chance.randrange(len(good))
        noise = chance.randbytes(chance.choice([1, 2, 8, 100]))
        path = written(tmp_path, f"damaged.{kind}", good[:at] + noise + good[at + len(noise) :])
        with contextlib.suppress(Unreadable):
            assert read(path, kind).sections
