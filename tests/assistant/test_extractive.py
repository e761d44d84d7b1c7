"""The built-in answerer quotes what answers, in three languages, and passes when nothing does."""

from collections.abc import Sequence
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.domain.assistant import Answer, Profile, Question, Turn, respond
from metachat.domain.assistant.extractive import Extractive
from metachat.domain.assistant.language import detect
from metachat.domain.assistant.likeness import measure
from metachat.domain.knowledge import Passage
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.domain.knowledge.embedding.contract import Vector
from metachat.foundation.ids import DocumentId

RENTAL = {
    "en": "The library lends laptops for 14 days. A deposit of €50 is taken. Late returns cost €2 per day.",
    "de": "Die Bibliothek verleiht Laptops für 14 Tage. Die Kaution beträgt 50 €. Verspätung kostet 2 €.",
    "hr": "Knjižnica posuđuje prijenosnike na 14 dana. Polog iznosi 50 €. Kašnjenje stoji 2 € po danu.",
}
HOURS = {
    "en": "The reading room is open from 9:00 to 20:00. It is closed on Sundays.",
    "de": "Der Lesesaal ist von 9:00 bis 20:00 Uhr geöffnet. Am Sonntag ist er geschlossen.",
    "hr": "Čitaonica je otvorena od 9:00 do 20:00 sati. Nedjeljom je zatvorena.",
}


@pytest.fixture(scope="module")
def embedder() -> BundledEmbedder:
    return BundledEmbedder()


async def answered(
    embedder: BundledEmbedder, asked: str, *history: Turn, texts: Sequence[dict[str, str]] = (RENTAL, HOURS)
) -> Answer:
    """Answers from the texts in all languages, found by similarity alone."""

    async def search(question: str, _: str | None) -> list[Passage]:
        vector = await embedder.embed_query(question)
        found: list[Passage] = []
        pairs = [pair for one in texts for pair in one.items()]
        for number, (language, text) in enumerate(pairs):
            [vectors] = await embedder.embed_passages([text])
            name, near = f"{number}.md", float(vector @ vectors)
            found.append(
                Passage(
                    number,
                    DocumentId(uuid4()),
                    name,
                    None,
                    None,
                    text,
                    language,
                    0,
                    similarity=near,
                )
            )
        return sorted(found, key=lambda passage: -passage.similarity)

    question = Question(asked, history=history, profile=Profile(brand_name="Acme"))
    answer = await respond(question, search=search, answerer=Extractive(embedder), on_text=lambda _: None)
    for citation in answer.citations:
        assert any(citation.quote in text for one in texts for text in one.values())
    return answer


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("How big is the deposit for a laptop?", "A deposit of €50 is taken"),
        ("When is the reading room open?", "The reading room is open from 9:00 to 20:00"),
        ("Wie hoch ist die Kaution für einen Laptop?", "Die Kaution beträgt 50 €"),
        ("Wann ist der Lesesaal offen?", "Der Lesesaal ist von 9:00 bis 20:00 Uhr geöffnet"),
        ("Koliki je polog za prijenosnik?", "Polog iznosi 50 €"),
        ("Kada je otvorena čitaonica?", "Čitaonica je otvorena od 9:00 do 20:00 sati"),
    ],
)
async def test_quotes_the_sentence_in_the_customers_language(
    embedder: BundledEmbedder, asked: str, said: str
) -> None:
    answer = await answered(embedder, asked)
    assert not answer.declined
    assert said in answer.text
    [document] = {citation.document for citation in answer.citations}
    assert answer.citations[0].quote in " ".join(text[answer.language] for text in (RENTAL, HOURS)), document


@pytest.mark.parametrize(
    ("asked", "offers"),
    [
        ("Do you sell train tickets to Paris?", "talk to a person"),
        ("Verkauft ihr Fahrkarten nach Rom?", "mit einem Menschen sprechen"),
        ("Prodajete li karte za vlak?", "razgovarati s osobom"),
    ],
)
async def test_passes_and_offers_a_person(embedder: BundledEmbedder, asked: str, offers: str) -> None:
    answer = await answered(embedder, asked)
    assert answer.declined
    assert answer.citations == ()
    assert offers in answer.text


async def test_marks_of_a_document_are_not_said(embedder: BundledEmbedder) -> None:
    text = "- **Deposit** for a laptop: [€50](https://library.example/fees), paid in <b>cash</b>."
    answer = await answered(embedder, "How big is the deposit for a laptop?", texts=[{"en": text}])
    assert answer.text == "Deposit for a laptop: €50, paid in cash [1]."
    assert answer.citations[0].quote == text


async def test_passes_without_any_document(embedder: BundledEmbedder) -> None:
    assert (await answered(embedder, "When do you open?", texts=())).declined


async def test_answers_from_another_language_when_only_that_has_it(embedder: BundledEmbedder) -> None:
    only_german = [{"de": text["de"]} for text in (RENTAL, HOURS)]
    answer = await answered(embedder, "How much is the deposit for a laptop?", texts=only_german)
    assert "Die Kaution beträgt 50 €" in answer.text


async def test_a_follow_up_is_read_with_the_question_before(embedder: BundledEmbedder) -> None:
    before = Turn("customer", "How big is the deposit for a laptop?")
    answer = await answered(
        embedder, "And for how long?", before, Turn("assistant", "A deposit of €50 is taken [1].")
    )
    assert "14 days" in answer.text


@pytest.mark.parametrize(
    ("asked", "starts"), [("Hello!", "Hello! What"), ("Guten Tag", "Hallo!"), ("Hvala puno", "Nema na čemu")]
)
async def test_returns_a_courtesy(embedder: BundledEmbedder, asked: str, starts: str) -> None:
    answer = await answered(embedder, asked)
    assert answer.text.startswith(starts)
    assert not answer.declined


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("when do you open", "en"), ("how much is delivery", "en"),
        ("wann habt ihr offen", "de"), ("was kostet der versand", "de"), ("öffnungszeiten", "de"),
        ("kad radite", "hr"), ("koliko je dostava", "hr"), ("izgubljen paket", "hr"),
        ("12345", None), ("", None),
    ],
)  # fmt: skip
def test_tells_the_language_of_a_short_question(text: str, language: str | None) -> None:
    assert detect(text) == language


async def test_measures_the_scale_of_a_model_it_does_not_know(embedder: BundledEmbedder) -> None:
    scale = await measure(embedder)
    assert scale.place(scale.unrelated) == pytest.approx(0)
    assert scale.place(scale.related) == pytest.approx(1)
    assert scale.unrelated == pytest.approx(0.751, abs=0.01)
    assert scale.related == pytest.approx(0.890, abs=0.01)


class Unknown:
    """An embedding model of which nothing is known, and whose every text lies at the same place."""

    name, dimension = "unknown", 4

    async def embed_query(self, text: str) -> Vector:
        return np.full(4, 0.5, dtype=np.float32)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        return [np.full(4, 0.5, dtype=np.float32) for _ in texts]


@given(st.text(max_size=120), st.text(max_size=400), st.floats(-1, 1))
async def test_no_text_breaks_it(asked: str, text: str, similarity: float) -> None:
    async def search(_: str, __: str | None) -> list[Passage]:
        return [Passage(1, DocumentId(uuid4()), "a.md", None, None, text, "und", 0, similarity=similarity)]

    answer = await respond(
        Question(asked), search=search, answerer=Extractive(Unknown()), on_text=lambda _: None
    )
    assert answer.text
    for citation in answer.citations:
        assert citation.quote in text


@pytest.mark.parametrize(
    "hostile", ["!" * 10_000, "a-" * 5_000, "1." * 5_000, "send " * 2_000, "\n" * 10_000 + "x"]
)
async def test_no_message_holds_it_up(hostile: str) -> None:
    async def search(_: str, __: str | None) -> list[Passage]:
        text = "Delivery takes 2 days. " * 30
        return [Passage(1, DocumentId(uuid4()), "a.md", None, None, text, "en", 0, similarity=0.9)]

    answer = await respond(
        Question(hostile), search=search, answerer=Extractive(Unknown()), on_text=lambda _: None
    )
    assert answer.timings["total"] < 1_000
