"""The question set: fairly divided, and every expected word really stands in the documents it names."""

from collections import Counter
from pathlib import Path
from typing import Literal

import msgspec
import pytest

QUESTIONS = Path(__file__).parents[2] / "bench" / "questions" / "questions.jsonl"


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's question, and what a right answer cites and contains."""

    id: str
    question: str
    language: Literal["en", "de", "hr"]
    answerable: bool
    documents: list[str]
    expect: list[str]
    split: Literal["tune", "held_out"]


ASKED = [msgspec.json.decode(line, type=Question) for line in QUESTIONS.read_bytes().splitlines()]


def test_the_set_is_divided_fairly() -> None:
    assert len({question.id for question in ASKED}) == len(ASKED) >= 75
    assert len({question.question.lower() for question in ASKED}) == len(ASKED)
    by_language = Counter((question.language, question.answerable) for question in ASKED)
    for language in ("en", "de", "hr"):
        assert by_language[language, True] == 2 * by_language[language, False] >= 16
    by_split = Counter((question.split, question.answerable) for question in ASKED)
    assert by_split["tune", True] == by_split["held_out", True]
    assert by_split["tune", False] == by_split["held_out", False]


def test_what_cannot_be_answered_names_no_document() -> None:
    assert [q.id for q in ASKED if not q.answerable and (q.documents or q.expect)] == []


@pytest.mark.parametrize("question", [q for q in ASKED if q.answerable], ids=lambda question: question.id)
def test_what_is_expected_stands_in_the_documents(question: Question, texts: dict[str, str]) -> None:
    assert question.documents
    assert question.expect
    assert question.expect == [word.lower() for word in question.expect]
    named = {name: texts[name].lower() for name in question.documents}
    for word in question.expect:
        assert any(word in text for text in named.values()), f"{word!r} stands nowhere"
    for name, text in named.items():
        assert any(word in text for word in question.expect), f"{name} says none of it"
