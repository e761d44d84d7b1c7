"""Sentences are cut where people would cut them, and no text is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.assistant.sentences import NO_WRAPPING, sentences, spans


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("It costs €4.90 per parcel. Free from €75.", ["It costs €4.90 per parcel.", "Free from €75."]),
        (
            "Wir liefern z. B. nach Wien. Ab 1. Mai auch Graz.",
            ["Wir liefern z. B. nach Wien.", "Ab 1. Mai auch Graz."],
        ),
        ("Mo. - Fr. 9 bis 17 Uhr. Sonst nicht.", ["Mo. - Fr. 9 bis 17 Uhr.", "Sonst nicht."]),
        ("Dostava traje 2 dana. Šaljemo u HR.", ["Dostava traje 2 dana.", "Šaljemo u HR."]),
        ('She said "yes." Then left.', ['She said "yes."', "Then left."]),
        ("- one\n- two", ["- one", "- two"]),
        ("Write to a@b.example. Now.", ["Write to a@b.example.", "Now."]),
    ],
)
def test_cuts(text: str, cut: list[str]) -> None:
    assert sentences(text) == cut


def test_a_wrapped_line_goes_on() -> None:
    text = (
        "The guarantee lasts five years for tents and for backpacks, three\n"
        "years for clothing. It is valid in every country to which we ship\n"
        "and begins with the delivery.\n\nTo claim it:\n- write to us"
    )
    assert sentences(text) == [
        "The guarantee lasts five years for tents and for backpacks, three\nyears for clothing.",
        "It is valid in every country to which we ship\nand begins with the delivery.",
        "To claim it:",
        "- write to us",
    ]


@given(st.text(alphabet="aB1 .!?\n-äŠ\"')(", max_size=200))
def test_nothing_is_lost_and_nothing_overlaps(text: str) -> None:
    for found in (spans(text), spans(text, NO_WRAPPING)):
        assert "".join("".join(text[s.start : s.end].split()) for s in found) == "".join(text.split())
        assert all(one.end <= two.start for one, two in pairwise(found))
