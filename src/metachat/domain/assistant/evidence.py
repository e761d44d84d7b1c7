"""Weighs how well passages and their sentences answer a question, without any model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from metachat.domain.assistant import words
from metachat.domain.assistant.concepts import country_of, joined, meanings_of
from metachat.domain.assistant.kinds import answers_its_kind
from metachat.domain.assistant.likeness import Scale
from metachat.domain.assistant.sentences import spans
from metachat.domain.knowledge import Passage

# How sure we are that a word asked for is met: by itself, in a compound ("Zelt" in "Zeltverleih"), by one of
# its family or meaning, by a part of it only ("Schuh" for "Wanderschuh", the country for a town).
_SAME, _COMPOUND, _FAMILY, _MEANING, _PART = 1.0, 0.9, 0.8, 0.8, 0.6
_SHORTEST_PART = 4
_SHORTEST_FAMILY = 5
_SHORTEST_NAME = 3
_LEAST_FAMILY = 0.6
# A word that no passage has weighs as if one text in thirty had it.
_RARE = 0.03
_LONGEST_TITLE, _MOST_TITLE_WORDS = 60, 7


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as words to look for: its text, its language, its content stems and their weights."""

    text: str
    language: str
    stems: tuple[str, ...]
    weights: tuple[float, ...]

    @property
    def total(self) -> float:
        """The weight of all words together."""
        return sum(self.weights)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage as evidence: the shares of the question's words that it and its titles have, how near it is
    in meaning, and whether it offers the kind of thing that is asked for.
    """

    number: int
    passage: Passage
    coverage: float
    titled: float
    meaning: float
    fits: bool | None
    same_language: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that may answer; covers holds the places of the question's words it has."""

    number: int
    start: int
    text: str
    weight: float
    covers: frozenset[int]
    kind_fits: bool | None


def asked(question: str, language: str, passages: Sequence[Passage]) -> Asked:
    """Gives a question's words, each weighed by how few of the passages have it."""
    stems = tuple(
        dict.fromkeys(words.stem(word, language) for word in words.content_words(joined(question), language))
    )
    known = [_stems_of(passage) for passage in passages]
    weights = []
    for stemmed in stems:
        having = sum(
            _match(stemmed, language, found, one.language) > 0
            for found, one in zip(known, passages, strict=True)
        )
        weights.append(math.log(1 + 1 / max(_RARE, having / (len(passages) + 1))))
    return Asked(question, language, stems, tuple(weights))


def candidates(question: Asked, passages: Sequence[Passage], scale: Scale) -> list[Candidate]:
    """Weighs each passage."""
    found = []
    for number, passage in enumerate(passages, start=1):
        covered = _covered(question, _stems_of(passage), passage.language)
        found.append(
            Candidate(
                number=number,
                passage=passage,
                coverage=_share(question, covered),
                titled=_share(question, _covered(question, _title_stems(passage), passage.language)),
                meaning=scale.place(passage.similarity) if passage.similarity else 0.0,
                fits=answers_its_kind(question.text, passage.text),
                same_language=passage.language == question.language,
            )
        )
    return found


def sentences(question: Asked, candidate: Candidate) -> list[Sentence]:
    """Weighs a passage's sentences; its headings count for half, since they speak for all below them."""
    passage = candidate.passage
    above = _covered(
        question,
        words.content_stems(f"{passage.heading or ''} {passage.document}", passage.language),
        passage.language,
    )
    found = []
    for span in spans(passage.text):
        text = passage.text[span.start : span.end]
        if _is_title(text):
            above = _covered(question, words.content_stems(text, passage.language), passage.language)
            continue
        own = _covered(question, words.content_stems(text, passage.language), passage.language)
        both = {place: max(own.get(place, 0.0), above.get(place, 0.0) / 2) for place in own | above}
        found.append(
            Sentence(
                number=candidate.number,
                start=span.start,
                text=text,
                weight=_share(question, both),
                covers=frozenset(own),
                kind_fits=answers_its_kind(question.text, text),
            )
        )
    return found


def _is_title(text: str) -> bool:
    if text.startswith("#") or text.isupper():
        return True
    short = len(text) < _LONGEST_TITLE and len(text.split()) <= _MOST_TITLE_WORDS
    return short and text[-1].isalpha() and text[0] not in "-*•"


def _share(question: Asked, covered: dict[int, float]) -> float:
    if not question.stems:
        return 0.0
    return sum(question.weights[place] * sure for place, sure in covered.items()) / question.total


def _covered(question: Asked, stems: frozenset[str], language: str) -> dict[int, float]:
    covered = {}
    for place, stemmed in enumerate(question.stems):
        sure = _match(stemmed, question.language, stems, language)
        if sure:
            covered[place] = sure
    return covered


def _match(stemmed: str, language: str, stems: frozenset[str], other: str) -> float:
    if stemmed in stems and (language == other or len(stemmed) >= _SHORTEST_NAME):
        return _SAME
    return max((_alike(stemmed, language, candidate, other) for candidate in stems), default=0.0)


@lru_cache(maxsize=100_000)
def _alike(wanted: str, language: str, found: str, other: str) -> float:
    if language == other and len(wanted) >= _SHORTEST_PART and wanted in found:
        return _COMPOUND
    shared = _common_start(wanted, found)
    if shared >= _SHORTEST_FAMILY and shared >= _LEAST_FAMILY * max(len(wanted), len(found)):
        return _FAMILY
    meant = meanings_of(found, other)
    if meanings_of(wanted, language) & meant:
        return _MEANING
    part = language == other and len(found) >= _SHORTEST_PART and found in wanted
    return _PART if part or country_of(wanted, language) & meant else 0.0


def _common_start(one: str, two: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two))
    )


@lru_cache(maxsize=2_000)
def _stems_of(passage: Passage) -> frozenset[str]:
    return words.content_stems(
        f"{passage.heading or ''}\n{passage.text}\n{passage.document}", passage.language
    )


def _title_stems(passage: Passage) -> frozenset[str]:
    return words.content_stems(f"{passage.heading or ''}\n{passage.document}", passage.language)
