"""The built-in answerer: it quotes the sentences that answer, needs no model, and knows when to pass."""

import re
from collections.abc import AsyncIterator, Sequence

from metachat.domain.assistant import evidence, language as languages
from metachat.domain.assistant.evidence import Asked, Candidate, Sentence
from metachat.domain.assistant.model import AnswerRequest, Claim, Final, Piece, Source, Usage

_USAGE = Usage("extractive")
# How similar a question and a passage are at least when they have nothing to do with each other, for the
# bundled embedding model, whose similarities all lie close together.
_UNRELATED = 0.83
# Weights and threshold were fitted to the "tune" half of bench/questions; its other half never was looked at.
_BY_MEANING, _BY_TITLE, _BY_KIND, _BY_LANGUAGE = 10.0, 0.4, 0.1, 0.05
_LEAST_STRENGTH = 0.70
_MOST_SENTENCES = 3
_LEAST_OF_BEST = 0.6
_LEAD = re.compile(r"^(?:[-*•–>|]\s+|\d{1,2}[.)]\s+)+")
_RECORD = re.compile(r"^[\w ()-]{1,40}: [^;]{1,80}; [\w ()-]{1,40}: ")


class Extractive:
    """Answers with a document's own sentences, at most three, and with none when they don't answer."""

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Gives a claim for each sentence, in the order in which they read."""
        for sentence in choose(request):
            text = _LEAD.sub("", " ".join(sentence.text.split()))
            yield Claim(text, (Source(sentence.number, sentence.text),))
        yield Final(_USAGE)


def choose(request: AnswerRequest) -> list[Sentence]:
    """Picks the sentences that answer; none when no passage is strong enough."""
    written_in = languages.detect(request.question) or request.language
    question = evidence.asked(request.question, written_in, request.passages)
    ranked = sorted(evidence.candidates(question, request.passages), key=strength, reverse=True)
    if not ranked or strength(ranked[0]) < _LEAST_STRENGTH:
        return []
    return _best_sentences(question, ranked)


def strength(candidate: Candidate) -> float:
    """Tells how strongly a passage seems to answer: by meaning, by words, by what it offers."""
    fits = 0.5 if candidate.fits is None else float(candidate.fits)
    return (
        _BY_MEANING * (candidate.similarity - _UNRELATED)
        + candidate.coverage
        + _BY_TITLE * candidate.titled
        + _BY_KIND * fits
        + _BY_LANGUAGE * candidate.same_language
    )


def _best_sentences(question: Asked, ranked: Sequence[Candidate]) -> list[Sentence]:
    """Picks the sentences that say most, and orders them as they stand in their documents."""
    best = strength(ranked[0])
    weighed = [
        (_worth(sentence, candidate, best), sentence)
        for candidate in ranked[:3]
        if strength(candidate) > best - 0.5
        for sentence in evidence.sentences(question, candidate)
    ]
    weighed.sort(key=lambda pair: -pair[0])
    if not weighed:
        return []
    top = weighed[0]
    chosen = [
        sentence
        for worth, sentence in weighed[:_MOST_SENTENCES]
        if worth >= _LEAST_OF_BEST * top[0] and sentence.number == top[1].number
    ]
    return sorted(chosen, key=lambda sentence: sentence.start)


def _worth(sentence: Sentence, candidate: Candidate, best: float) -> float:
    fits = {True: 0.35, False: -0.1, None: 0.0}[sentence.kind_fits]
    record = 0.3 if _RECORD.match(sentence.text) else 0.0
    return sentence.weight + fits - record - (best - strength(candidate)) * 0.5
