"""Writes the demo help centre's PDF and DOCX anew; the same bytes each time, so that a diff means a change.

    .venv/bin/python infra/demo/documents.py

Needs the development dependencies (fpdf2, python-docx) and DejaVu Sans (Debian: fonts-dejavu-core).
"""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import docx
from fpdf import FPDF
from fpdf.enums import XPos, YPos

HELP = Path(__file__).resolve().parents[2] / "src" / "metachat" / "demo" / "help"
FONTS = Path("/usr/share/fonts/truetype/dejavu")
WRITTEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

# One tuple a page: its sections as (heading, paragraphs).
HANDBOOK: tuple[tuple[tuple[str, tuple[str, ...]], ...], ...] = (
    (
        (
            "1. Your rights at a glance",
            (
                "Every product from Waldläufer comes with the statutory warranty of 2 years from delivery. "
                "On top of that we give a voluntary guarantee that is longer for most products.",
                "The Waldläufer guarantee lasts 5 years for tents and backpacks, 3 years for clothing and "
                "2 years for boots and shoes. It begins on the day of delivery.",
                "The guarantee is tied to the product and not to the buyer. If you give your tent away or "
                "sell it, the new owner can claim with the original order number.",
                "The guarantee is valid in every country to which we ship. Your statutory rights are not "
                "limited by it.",
            ),
        ),
        (
            "2. What is covered",
            (
                "We cover faults in material and workmanship: seams that open, zips and buckles that break, "
                "coatings and membranes that peel off, tent poles that snap in normal use, and soles that "
                "come loose.",
                "A jacket sold as waterproof that lets water through within the guarantee period is covered, "
                "provided that it was washed as the care label says.",
            ),
        ),
    ),
    (
        (
            "3. What is not covered",
            (
                "Normal wear is not covered: worn-down soles, faded colours and pilling. Burns from sparks, "
                "cuts, mould after wet storage, and damage from washing against the care label are not "
                "covered either.",
                "Changes made by someone other than our workshop end the guarantee for the part in question.",
                "Sleeping mats, water bottles, gas cartridges and other consumables carry only the statutory "
                "warranty of 2 years.",
            ),
        ),
        (
            "4. How to make a claim",
            (
                "Step 1: Clean and dry the product. Step 2: Take two photographs, one of the whole product "
                "and one of the damage. Step 3: Send them with your order number to "
                "garantie@waldlaeufer.example.",
                "We answer within 3 working days. If we accept the claim, you receive a free shipping label.",
                "We repair the product within 15 working days of its arrival. If a repair is not possible, "
                "we send a replacement. If the model is no longer made, we refund the price you paid.",
                "You do not need the paper receipt. The order number, or the e-mail address you ordered "
                "with, is enough.",
            ),
        ),
    ),
    (
        (
            "5. Repairs outside the guarantee",
            (
                "Our workshop in Graz also repairs what the guarantee does not cover. A repair takes about "
                "10 working days. You receive a quote first, and nothing is done before you agree.",
                "Price list. New zip on a jacket: €18. Patch up to 10 cm: €9. Seam taping: €12 for every "
                "50 cm. New tent pole segment: €14. New buckle on a backpack: €7. Resoling a pair of boots: "
                "€69, which takes about three weeks.",
                "The return shipment of a paid repair costs the same as standard delivery to your country: "
                "€4.90 to Austria, €5.90 to Germany, €7.90 to Croatia.",
                "If a repair would cost more than 60 % of the price of a new product, we tell you and offer "
                "a 20 % voucher for a new one instead.",
            ),
        ),
        (
            "6. Where to send it",
            (
                "Waldläufer Workshop, Forstgasse 12, 8020 Graz, Austria. You can also hand things in at the "
                "shop during opening hours, or send them together with a return.",
                "Products that arrive dirty or wet are sent back without repair.",
            ),
        ),
    ),
    (
        (
            "7. Spare parts",
            (
                "Spare parts for tents are kept in stock for 10 years after a model has ended. Pegs, guy "
                "lines, pole segments and repair sleeves can be ordered by e-mail.",
                "A set of 14 pegs for the Kar 2 costs €16. A pair of laces costs €5.90. A replacement pole "
                "set for the Kar 2 costs €49.",
            ),
        ),
        (
            "8. Repairing things yourself",
            (
                "Field repair of a broken pole: slide the repair sleeve over the break, centre it and fix "
                "both ends with tape. Have the segment replaced after the trip.",
                "Field repair of a torn flysheet: clean the spot with alcohol, round the corners of the "
                "patch, press it on for one minute and wait 24 hours before folding the tent.",
                "Once a year we hold a free repair evening at the shop in Graz, on the first Thursday in "
                "October at 18:00. Please register by e-mail, because there are 20 places.",
            ),
        ),
    ),
)

# (heading, paragraphs); a paragraph beginning with "- " becomes a list item.
RETURNS_DE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Rückgabefrist",
        (
            "Sie können jeden Artikel innerhalb von 30 Tagen nach der Zustellung ohne Angabe von Gründen "
            "zurückgeben. Mit dem Waldpass verlängert sich die Frist auf 60 Tage.",
            "Die Ware muss unbenutzt und sauber sein, alle Etiketten müssen daran sein. Schuhe dürfen Sie "
            "natürlich in der Wohnung anprobieren.",
            "Geöffnete Unterwäsche und Socken nehmen wir aus hygienischen Gründen nicht zurück. Dasselbe "
            "gilt für Sonderanfertigungen.",
        ),
    ),
    (
        "So schicken Sie etwas zurück",
        (
            "- Öffnen Sie im Kundenkonto die Bestellung und wählen Sie „Artikel zurückgeben“.",
            "- Drucken Sie das Rücksendeetikett aus oder zeigen Sie den QR-Code im Paketshop.",
            "- Geben Sie das Paket innerhalb von 14 Tagen auf.",
        ),
    ),
    (
        "Kosten der Rücksendung",
        (
            "Aus Österreich und Deutschland ist die Rücksendung kostenlos. Aus Kroatien ziehen wir 4,50 € "
            "von der Erstattung ab. Aus den übrigen EU-Ländern tragen Sie die Rücksendekosten selbst. Im "
            "Geschäft in Graz können Sie Artikel immer kostenlos abgeben.",
        ),
    ),
    (
        "Erstattung",
        (
            "Wir erstatten den Kaufpreis innerhalb von 7 Werktagen, nachdem das Paket in unserem Lager "
            "angekommen ist. Das Geld geht auf demselben Weg zurück, auf dem Sie bezahlt haben.",
        ),
    ),
    (
        "Umtausch in eine andere Größe",
        (
            "Wählen Sie „Umtauschen“ statt „Zurückgeben“. Wir reservieren die neue Größe 10 Tage lang und "
            "schicken sie kostenlos zu. Jeder Artikel kann einmal umgetauscht werden.",
        ),
    ),
    (
        "Gewährleistung und Garantie",
        (
            "Für alle Produkte gilt die gesetzliche Gewährleistung von 2 Jahren. Zusätzlich geben wir eine "
            "freiwillige Garantie: 5 Jahre auf Zelte und Rucksäcke, 3 Jahre auf Bekleidung und 2 Jahre auf "
            "Schuhe.",
            "Die Garantie gilt für Material- und Verarbeitungsfehler, zum Beispiel offene Nähte, defekte "
            "Reißverschlüsse, gebrochene Schnallen und Zeltstangen. Nicht darunter fallen normale Abnutzung, "
            "Brandlöcher, Schimmel und Schäden durch falsches Waschen.",
        ),
    ),
    (
        "Garantiefall melden",
        (
            "Schicken Sie die Bestellnummer und zwei Fotos des Schadens an garantie@waldlaeufer.example. Wir "
            "antworten innerhalb von 3 Werktagen. Die Reparatur dauert höchstens 15 Werktage ab Eingang des "
            "Pakets. Lässt sich der Artikel nicht reparieren, bekommen Sie Ersatz oder das Geld zurück. Der "
            "Versand ist im Garantiefall kostenlos.",
        ),
    ),
)


def main() -> None:
    handbook = HELP / "en" / "warranty-and-repair-handbook.pdf"
    handbook.write_bytes(handbook_pdf())
    (HELP / "de" / "rueckgabe-und-garantie.docx").write_bytes(returns_docx())


def handbook_pdf() -> bytes:
    """The English warranty and repair handbook, one page of the data a page of paper."""
    pdf = FPDF(format=(148, 210))
    pdf.set_creation_date(WRITTEN)
    pdf.set_title("Warranty and repair handbook")
    pdf.set_author("Waldläufer Outdoor GmbH")
    pdf.set_lang("en")
    pdf.set_margin(18)
    pdf.add_font("DejaVu", "", FONTS / "DejaVuSans.ttf")
    pdf.add_font("DejaVu", "B", FONTS / "DejaVuSans-Bold.ttf")
    for number, sections in enumerate(HANDBOOK, start=1):
        pdf.add_page()
        if number == 1:
            _line(pdf, "Warranty and repair handbook", 16)
        for heading, paragraphs in sections:
            _line(pdf, heading, 12)
            for paragraph in paragraphs:
                pdf.set_font("DejaVu", "", 9)
                pdf.multi_cell(0, 5, paragraph, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
                pdf.ln(2)
    return bytes(pdf.output())


def _line(pdf: FPDF, text: str, points: int) -> None:
    pdf.ln(3)
    pdf.set_font("DejaVu", "B", points)
    pdf.multi_cell(0, points * 0.6, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(2)


def returns_docx() -> bytes:
    """The German page on returns and guarantee, with real Word headings and lists."""
    document = docx.Document()
    document.core_properties.author = "Waldläufer Outdoor GmbH"
    document.core_properties.title = "Rückgabe und Garantie"
    document.core_properties.language = "de"
    document.core_properties.comments = ""
    document.core_properties.created = document.core_properties.modified = WRITTEN.replace(tzinfo=None)
    document.add_heading("Rückgabe und Garantie", level=1)
    for heading, paragraphs in RETURNS_DE:
        document.add_heading(heading, level=2)
        for paragraph in paragraphs:
            style = "List Number" if paragraph.startswith("- ") else None
            document.add_paragraph(paragraph.removeprefix("- "), style=style)
    written = io.BytesIO()
    document.save(written)
    return _undated(written.getvalue())


def _undated(package: bytes) -> bytes:
    """The same ZIP package with every member dated alike: Word's format keeps the time of writing."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            member = zipfile.ZipInfo(name, date_time=WRITTEN.timetuple()[:6])
            member.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(member, source.read(name))
    return result.getvalue()


if __name__ == "__main__":
    main()
