"""The demo shop's help centre: every file can be read, and all three languages state the same facts."""

import hashlib
import re
import runpy
from pathlib import Path

import pytest
from tests.demo.conftest import FILES, HELP, read

# The script that wrote the PDF and the DOCX, as a dictionary of its names.
WRITER = runpy.run_path(str(Path(__file__).parents[2] / "infra" / "demo" / "documents.py"))

# The same facts in each language's words.
FACTS = {
    "standard to Austria": {
        "en": r"Austria: €4\.90, delivered in 2 to 3 working days",
        "de": r"Österreich: 4,90 €, Lieferzeit 2 bis 3 Werktage",
        "hr": r"Austrija: 4,90 €, rok dostave 2 do 3 radna dana",
    },
    "standard to Germany": {
        "en": r"Germany: €5\.90, delivered in 3 to 4 working days",
        "de": r"Deutschland: 5,90 €, Lieferzeit 3 bis 4 Werktage",
        "hr": r"Njemačka: 5,90 €, rok dostave 3 do 4 radna dana",
    },
    "standard to Croatia": {
        "en": r"Croatia: €7\.90, delivered in 4 to 5 working days",
        "de": r"Kroatien: 7,90 €, Lieferzeit 4 bis 5 Werktage",
        "hr": r"Hrvatska: 7,90 €, rok dostave 4 do 5 radnih dana",
    },
    "standard to other EU countries": {
        "en": r"€12\.90, delivered in 5 to 8 working days",
        "de": r"12,90 €, Lieferzeit 5 bis 8 Werktage",
        "hr": r"12,90 €, rok dostave 5 do 8 radnih dana",
    },
    "free shipping to Croatia": {
        "en": r"Croatia is free from an order value of €110",
        "de": r"Nach Kroatien liefern wir ab 110 €",
        "hr": r"u Hrvatsku besplatna je za narudžbe iznad 110 €",
    },
    "express to Croatia": {
        "en": r"Express to Croatia costs €19\.90 and takes 2 working days",
        "de": r"Express nach Kroatien kostet 19,90 € und dauert ebenfalls 2 Werktage",
        "hr": r"Brza dostava u Hrvatsku stoji 19,90 € i traje 2 radna dana",
    },
    "bulky goods": {"en": r"surcharge of €9\.00", "de": r"Zuschlag von 9,00 €", "hr": r"dodatak od 9,00 €"},
    "return period": {
        "en": r"within 30 days of delivery.*members have 60 days",
        "de": r"innerhalb von 30 Tagen nach der Zustellung.*auf 60 Tage",
        "hr": r"u roku od 30 dana od primitka.*imaju 60 dana",
    },
    "return from Croatia": {
        "en": r"returns from Croatia we deduct €4\.50",
        "de": r"Aus Kroatien ziehen wir 4,50 €",
        "hr": r"povrat iz Hrvatske od iznosa koji vraćamo odbijamo 4,50 €",
    },
    "refund": {
        "en": r"within 7 working days",
        "de": r"innerhalb von 7 Werktagen",
        "hr": r"u roku od 7 radnih dana",
    },
    "statutory warranty": {
        "en": r"statutory warranty of 2 years",
        "de": r"gesetzliche Gewährleistung von 2 Jahren",
        "hr": r"zakonska odgovornost za nedostatke od 2 godine",
    },
    "guarantee": {
        "en": r"5 years for tents and backpacks, 3 years for clothing and 2 years for boots",
        "de": r"5 Jahre auf Zelte und Rucksäcke, 3 Jahre auf Bekleidung und 2 Jahre auf Schuhe",
        "hr": r"5 godina na šatore i ruksake, 3 godine na odjeću i 2 godine na obuću",
    },
    "opening hours": {
        "en": r"Monday to Friday from 9:30 to 18:30 and Saturday from 9:00 to 17:00",
        "de": r"Montag bis Freitag von 9:30 bis 18:30 Uhr und Samstag von 9:00 bis 17:00 Uhr",
        "hr": r"od ponedjeljka do petka od 9:30 do 18:30, a subotom od 9:00 do 17:00",
    },
    "guarantee repair": {
        "en": r"within 15 working days",
        "de": r"höchstens 15 Werktage",
        "hr": r"u roku od 15 radnih dana",
    },
}


def test_names_say_which_document_is_meant() -> None:
    names = [path.name for path in FILES]
    assert len(names) == len(set(names)) >= 15
    assert {path.suffix for path in FILES} == {".md", ".html", ".txt", ".csv", ".pdf", ".docx"}


def test_every_document_has_something_to_say(texts: dict[str, str]) -> None:
    assert [name for name, text in texts.items() if len(text) < 600] == []


@pytest.mark.parametrize("fact", FACTS)
def test_all_languages_state_the_same_facts(fact: str, texts: dict[str, str]) -> None:
    for language, wording in FACTS[fact].items():
        pages = [texts[path.name] for path in FILES if path.parent.name == language]
        assert any(re.search(wording, page) for page in pages), f"{fact} is not stated in {language}"


async def test_the_handbook_has_pages() -> None:
    handbook = await read(HELP / "en" / "warranty-and-repair-handbook.pdf")
    assert handbook.pages == len(WRITER["HANDBOOK"]) >= 3
    prices = [section.page for section in handbook.sections if "New zip on a jacket" in section.text]
    assert prices == [3]


async def test_the_word_document_has_headings() -> None:
    returns = await read(HELP / "de" / "rueckgabe-und-garantie.docx")
    headings = {heading for heading, _ in WRITER["RETURNS_DE"]}
    assert headings <= {section.heading.split(" > ")[-1] for section in returns.sections if section.heading}


def test_the_word_document_is_what_its_script_writes() -> None:
    written = (HELP / "de" / "rueckgabe-und-garantie.docx").read_bytes()
    assert hashlib.sha256(written).digest() == hashlib.sha256(WRITER["returns_docx"]()).digest()


def test_the_handbook_is_what_its_script_writes() -> None:
    if not WRITER["FONTS"].exists():
        pytest.skip("DejaVu Sans is not installed (Debian: fonts-dejavu-core)")
    written = (HELP / "en" / "warranty-and-repair-handbook.pdf").read_bytes()
    assert hashlib.sha256(written).digest() == hashlib.sha256(WRITER["handbook_pdf"]()).digest()
