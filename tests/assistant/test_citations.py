"""Citations: markup is read, quotes are proven, and nothing raw ever shows."""

import re
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.assistant import Answer, AnswerRequest, Final, Question, Text, Usage, respond
from metachat.domain.assistant.citations import Mark, Unfinished, locate, next_mark
from metachat.domain.assistant.gate import Gate
from metachat.domain.assistant.model import Source
from metachat.domain.knowledge import Passage
from metachat.foundation.ids import DocumentId

RETURNS = (
    "You can return any item within 30 days of delivery, without giving a reason.\nMembers have 60 days."
)
SHIPPING = "Standard delivery to Austria costs €4.90 and takes 2 to 3 working days."


def passage(text: str, number: int = 1, language: str = "en") -> Passage:
    return Passage(
        number, DocumentId(uuid4()), f"doc{number}.md", None, None, text, language, 0, similarity=0.9
    )


class Says:
    """A model that says one thing, cut into pieces of a given size."""

    def __init__(self, text: str, size: int = 7) -> None:
        self.pieces = [text[at : at + size] for at in range(0, len(text), size)]

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Text | Final]:
        for piece in self.pieces:
            yield Text(piece)
        yield Final(Usage("scripted"))


async def shown(text: str, *texts: str, size: int = 7, asked: str = "How long may I return it?") -> Answer:
    async def search(_: str, __: str | None) -> list[Passage]:
        return [passage(one, number) for number, one in enumerate(texts or (RETURNS, SHIPPING), start=1)]

    heard: list[str] = []
    answer = await respond(Question(asked), search=search, answerer=Says(text, size), on_text=heard.append)
    assert "".join(heard) == answer.text
    return answer


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ('[1: "within 30 days"]', (Source(1, "within 30 days"),)),
        ("[ 2 : “within 30 days” ]", (Source(2, "within 30 days"),)),
        ("[3 „innerhalb von 30 Tagen“]", (Source(3, "innerhalb von 30 Tagen"),)),
        ("[1]", (Source(1, ""),)),
        ("[1, 3]", (Source(1, ""), Source(3, ""))),
        ("【2】", (Source(2, ""),)),
        ('[1: "see [a] and "b" there"]', (Source(1, 'see [a] and "b" there'),)),
    ],
)
def test_reads_markup(text: str, sources: tuple[Source, ...]) -> None:
    assert next_mark(f"before {text} after") == Mark(7, 7 + len(text), sources)


@pytest.mark.parametrize("text", ["[", "[1", '[1: "wit', '[12: "within 30 days"', "x 【3"])
def test_waits_for_the_end_of_markup(text: str) -> None:
    assert isinstance(next_mark(text), Unfinished)


@pytest.mark.parametrize("text", ["no marks", "[link](x)", "[a]", "(1)", "[1234]"])
def test_other_brackets_are_text(text: str) -> None:
    assert next_mark(text) is None


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("within 30 days", "within 30 days"),
        ("Within  30\ndays", "within 30 days"),
        ("without giving a reason. Members have 60 days", "without giving a reason.\nMembers have 60 days"),
        ("within 30 days...", "within 30 days"),
        ("within 31 days", None),
        ("ithin 30 days", None),
        ("days", None),
        ("", None),
        ("return  it within", None),
    ],
)
def test_a_quote_must_occur(quote: str, found: str | None) -> None:
    assert locate(quote, RETURNS) == found


async def test_numbers_follow_the_order_of_first_use() -> None:
    answer = await shown(
        'Standard delivery to Austria takes 2 to 3 working days. [2: "takes 2 to 3 working days"] '
        'You can return any item within 30 days. [1: "within 30 days of delivery"] '
        'Delivery to Austria costs €4.90 [2: "takes 2 to 3 working days"].'
    )
    assert [citation.document for citation in answer.citations] == ["doc2.md", "doc1.md"]
    assert re.findall(r"\[\d+\]", answer.text) == ["[1]", "[2]", "[1]"]


async def test_a_sentence_without_proof_is_not_shown() -> None:
    answer = await shown(
        'Happy to help! You can return any item within 30 days [1: "within 30 days of delivery"]. '
        'You can return it within 90 days [1: "within 90 days of delivery"]. Have a nice day.'
    )
    assert answer.text == "You can return any item within 30 days [1]."


async def test_a_number_must_stand_in_the_source() -> None:
    answer = await shown('You can return any item within 45 days [1: "within 30 days of delivery"].')
    assert answer.declined


async def test_a_true_quote_does_not_carry_another_claim() -> None:
    answer = await shown('Please tell us your bank password now [1: "within 30 days of delivery"].')
    assert answer.declined


async def test_without_a_quote_the_passage_must_say_it() -> None:
    answer = await shown(
        "You can return any item within 30 days of delivery [1]. Free ponies for everybody [1]."
    )
    assert answer.text == "You can return any item within 30 days of delivery [1]."
    assert answer.citations[0].quote in RETURNS


async def test_nothing_proven_is_declined_in_the_customers_language() -> None:
    answer = await shown("NO_ANSWER", asked="Wie lange kann ich das zurückgeben?")
    assert answer.declined
    assert "Möchten Sie mit einem Menschen sprechen?" in answer.text
    assert answer.citations == ()


async def test_lists_keep_their_lines() -> None:
    answer = await shown(
        '- Return any item within 30 days [1: "within 30 days of delivery"]\n'
        '- Members have 60 days [1: "Members have 60 days"]'
    )
    assert answer.text == "- Return any item within 30 days [1]\n- Members have 60 days [2]"


async def test_a_citation_cut_short_is_none() -> None:
    assert (await shown('You can return any item within 30 days [1: "within 30 da')).declined


WORDS = st.lists(
    st.sampled_from(
        ["return", "item", "within", "30", "days", "delivery", "members", "have", "60", "the", "of"]
    ),
    min_size=1,
    max_size=8,
)
MARKUP = st.sampled_from(
    [
        '[1: "within 30 days of delivery"]',
        '[2: "nothing of the kind"]',
        "[1]",
        "[9]",
        '[1: "',
        "[",
        "]",
        "【1】",
        "[1][2]",
        '[1: "Members have 60 days"]',
        "![x](http://a.b/c)",
        "\ue000",
        "[1,2]",
        "[^1]",
        "[[1]]",
    ]
)
RAW = st.lists(
    st.one_of(WORDS.map(" ".join), MARKUP, st.sampled_from([". ", "! ", "\n", " "])), max_size=20
).map("".join)


@given(RAW, st.integers(1, 40))
async def test_whatever_a_model_writes_only_proven_text_shows(raw: str, size: int) -> None:
    answer = await shown(raw, RETURNS, SHIPPING, size=size)
    for citation in answer.citations:
        assert citation.quote in (RETURNS, SHIPPING)[citation.chunk_id - 1]
    assert answer.declined == (not answer.citations)
    if not answer.declined:
        numbers = [int(number) for number in re.findall(r"\[(\d+)\]", answer.text)]
        assert set(numbers) == set(range(1, len(answer.citations) + 1))
        assert not re.search(r'\[\d+[^\d\]]|\[\d+: |"\]|[【】\ue000]|!\[', answer.text)


@given(RAW, st.integers(1, 10))
async def test_the_size_of_pieces_changes_nothing(raw: str, size: int) -> None:
    whole, pieces = await shown(raw, size=10_000), await shown(raw, size=size)
    assert whole.text == pieces.text


@given(st.text(max_size=300), st.integers(0, 200), st.integers(20, 120))
def test_every_long_stretch_of_a_text_is_found_in_it(text: str, start: int, length: int) -> None:
    quote = text[start : start + length]
    found = locate(quote, text)
    if found is not None:
        assert found in text


def test_the_gate_keeps_nothing_back_at_the_end() -> None:
    gate = Gate(AnswerRequest("When?", (passage(RETURNS),), "en"))
    assert gate.feed('Members have 60 days [1: "Members have 60 days"]') == ""
    assert gate.close() == "Members have 60 days [1]"


@pytest.mark.parametrize("hostile", ["!" * 10_000, "a." * 5_000, "[1: " * 2_500, "\n" * 10_000, "x" * 10_000])
async def test_no_output_holds_the_gate_up(hostile: str) -> None:
    answer = await shown(f'{hostile}\nMembers have 60 days [1: "Members have 60 days"].', size=50)
    assert answer.timings["total"] < 3_000
