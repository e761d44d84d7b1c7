"""Languages are told apart, and words made comparable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.knowledge.language import content_words, detect_language, searchable, stem, words_of
from tests.knowledge.conftest import Library


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How long does delivery take?", "en"),
        ("Wie lange dauert der Versand nach Wien?", "de"),
        ("Kako mogu vratiti paket koji ne odgovara?", "hr"),
        ("Où est mon colis et quand est-ce qu'il arrive ?", "fr"),
        ("12345 !!!", "und"),
        ("", "und"),
    ],
)
def test_a_language_shows_in_its_small_words(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    ("one", "other"), [("dostava", "dostave"), ("jakna", "jaknu"), ("rok", "rokovi"), ("čizme", "cizmama")]
)
def test_forms_of_a_croatian_word_share_their_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_different_croatian_words_keep_different_stems() -> None:
    words = ["dostava", "povrat", "jamstvo", "cijena", "račun", "adresa", "popust", "veličina"]
    assert len({stem(word) for word in words}) == len(words)


@given(st.text())
def test_stemming_never_fails_nor_leaves_syntax(text: str) -> None:
    for word in words_of(searchable(text, "hr")):
        assert stem(word)
    assert all(set(word).isdisjoint("&|!():*'<> \\") for word in content_words(text))


QUESTIONS = {
    "help-en.md": (
        "# Returns\n\nYou may return the goods that you ordered within 30 days.\n",
        "returning an order",
    ),
    "help-de.md": (
        "# Rückgabe\n\nSie können die Ware innerhalb von 30 Tagen zurückgeben.\n",
        "Wie kann man Waren zurückgeben?",
    ),
    "help-hr.md": (
        "# Povrat\n\nRobu možete vratiti u roku od 30 dana i to je besplatno.\n",
        "Kako ide povratak robe u roku?",
    ),
}


@pytest.mark.parametrize("name", QUESTIONS)
async def test_words_are_found_in_their_other_forms(library: Library, name: str) -> None:
    for document, (text, _) in QUESTIONS.items():
        assert (await library.learn(document, text.encode())).language == document[5:7]
    best = (await library.search(QUESTIONS[name][1]))[0]
    assert best.document == name
    assert best.lexical > 0


@pytest.mark.parametrize(
    "question",
    [
        "",
        "   ",
        "\0",
        "???",
        "the of and",
        "'; DROP TABLE chunks; --",
        "a & b | !c <-> (d:*)",
        "x" * 9000,
        "😀",
        "ß İ ﬁ",
    ],
)
async def test_any_question_is_searched(library: Library, question: str) -> None:
    await library.learn("help.md", b"# Returns\n\nYou may return goods within 30 days.\n")
    assert len(await library.search(question)) == 1
