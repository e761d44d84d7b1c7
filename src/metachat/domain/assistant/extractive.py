"""The built-in answerer: it quotes the sentences that answer, needs no model, and knows when to pass."""

import re
from collections.abc import AsyncIterator, Sequence

from metachat.domain.assistant import evidence
from metachat.domain.assistant import language as languages
from metachat.domain.assistant.evidence import Asked, Candidate, Sentence
from metachat.domain.assistant.likeness import Scale, scale_of
from metachat.domain.assistant.model import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.domain.knowledge import Embedder

_USAGE = Usage("extractive")
# Fitted to the half of bench/questions that is marked "tune"; the other half only measures.
_BY_MEANING, _BY_TITLE, _BY_KIND, _BY_LANGUAGE = 1.4, 0.4, 0.1, 0.05
_LEAST_STRENGTH = 1.50
_BY_SENTENCE, _FITTING, _UNFITTING, _AS_RECORD = 0.5, 0.35, -0.1, -0.3
_PASSAGES_READ = 3
_NEARLY_AS_GOOD = 0.2
_MOST_SENTENCES = 3
# Characters: what a question is about stands at its beginning.
_LONGEST_QUESTION = 1_000
_LEAST_OF_BEST = 0.6
_LEAD = re.compile(r"^(?:[-*•–>|]\s+|\d{1,2}[.)]\s+)+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\*\*|__|`|</?[a-zA-Z][^>]*>")
_RECORD = re.compile(r"^[\w ()-]{1,40}: [^;]{1,80}; [\w ()-]{1,40}: ")


class Extractive:
    """Answers with a document's own sentences, at most three, and with none when they don't answer."""

    def __init__(self, embedder: Embedder) -> None:
        """Take the embedding model that the passages' similarities come from."""
        self._embedder = embedder
        self._scale: Scale | None = None

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Gives a claim for each sentence, in the order in which they read."""
        if self._scale is None:
            self._scale = await scale_of(self._embedder)
        for sentence in choose(request, self._scale):
            yield Claim(_plain(sentence.text), (Source(sentence.number, sentence.text),))
        yield Final(_USAGE)


def _plain(text: str) -> str:
    # What a document marks up (bullets, links, bold, tags) is said without the marks; the quote keeps them.
    linked = _LINK.sub(r"\1", " ".join(text.split()))
    return _LEAD.sub("", _MARKS.sub("", linked))


def choose(request: AnswerRequest, scale: Scale) -> list[Sentence]:
    """Picks the sentences that answer; none when no passage is strong enough."""
    asked = request.question[:_LONGEST_QUESTION]
    written_in = languages.detect(asked) or request.language
    question = evidence.asked(asked, written_in, request.passages)
    ranked = sorted(evidence.candidates(question, request.passages, scale), key=strength, reverse=True)
    if not ranked or strength(ranked[0]) < _LEAST_STRENGTH:
        return []
    return _best_sentences(question, ranked)


def strength(candidate: Candidate) -> float:
    """Tells how strongly a passage seems to answer: by meaning, by words, by what it offers."""
    fits = 0.5 if candidate.fits is None else float(candidate.fits)
    return (
        _BY_MEANING * candidate.meaning
        + candidate.coverage
        + _BY_TITLE * candidate.titled
        + _BY_KIND * fits
        + _BY_LANGUAGE * candidate.same_language
    )


def _best_sentences(question: Asked, ranked: Sequence[Candidate]) -> list[Sentence]:
    """Picks the passage that answers best, by itself and by its best sentence, and its best sentences.

    The best sentence of the next one joins them where that is nearly as good.
    """
    weighed = []
    for candidate in ranked[:_PASSAGES_READ]:
        found = sorted(evidence.sentences(question, candidate), key=_worth, reverse=True)
        if found:
            weighed.append((strength(candidate) + _BY_SENTENCE * _worth(found[0]), candidate, found))
    weighed.sort(key=lambda item: item[0], reverse=True)
    if not weighed:
        return []
    best, _, found = weighed[0]
    chosen = _together(found)
    for worth, candidate, others in weighed[1:2]:
        if best - worth <= _NEARLY_AS_GOOD and candidate.same_language:
            chosen = [*chosen[: _MOST_SENTENCES - 1], others[0]]
    return chosen


def _together(found: Sequence[Sentence]) -> list[Sentence]:
    least = _LEAST_OF_BEST * _worth(found[0])
    chosen = [sentence for sentence in found[:_MOST_SENTENCES] if _worth(sentence) >= least]
    return sorted(chosen, key=lambda sentence: sentence.start)


def _worth(sentence: Sentence) -> float:
    fits = {True: _FITTING, False: _UNFITTING, None: 0.0}[sentence.kind_fits]
    return sentence.weight + fits + (_AS_RECORD if _RECORD.match(sentence.text) else 0.0)
