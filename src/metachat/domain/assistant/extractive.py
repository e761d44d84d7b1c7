"""The built-in answerer: it quotes the sentences that answer, needs no model, and knows when to pass."""

import re
from collections.abc import AsyncIterator, Sequence

from metachat.domain.assistant import evidence, language as languages
from metachat.domain.assistant.evidence import Asked, Candidate, Sentence
from metachat.domain.assistant.model import AnswerRequest, Claim, Final, Piece, Source, Usage
from metachat.domain.knowledge import Embedder
from metachat.domain.knowledge.embedding.contract import Vector

_USAGE = Usage("extractive")
# What embeds to "nothing in particular": how near a question is to it, it is to anything.
_NOTHING = "---"
_MOST_SENTENCES = 3
_LEAST_OF_BEST = 0.6
_LEAD = re.compile(r"^(?:[-*•–>|]\s+|\d{1,2}[.)]\s+)+")
_RECORD = re.compile(r"^[\w ()-]{1,40}: [^;]{1,80}; [\w ()-]{1,40}: ")


class Extractive:
    """Answers with a document's own sentences, at most three, and with none when they don't answer."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._nothing: Vector | None = None

    async def answer(self, request: AnswerRequest) -> AsyncIterator[Piece]:
        """Gives a claim for each sentence, in the order in which they read."""
        for sentence in await self._chosen(request):
            yield Claim(
                _LEAD.sub("", " ".join(sentence.text.split())), (Source(sentence.number, sentence.text),)
            )
        yield Final(_USAGE)

    async def _chosen(self, request: AnswerRequest) -> list[Sentence]:
        if not request.passages:
            return []
        written_in = languages.detect(request.question) or request.language
        question = evidence.asked(request.question, written_in, request.passages)
        found = evidence.candidates(
            question, request.passages, await self._nearness_of_nothing(request.question)
        )
        ranked = sorted(found, key=lambda candidate: -strength(candidate))
        if strength(ranked[0]) < threshold(ranked[0]):
            return []
        return best_sentences(question, ranked)

    async def _nearness_of_nothing(self, question: str) -> float:
        if self._nothing is None:
            [self._nothing] = await self._embedder.embed_passages([_NOTHING])
        vector = await self._embedder.embed_query(question)
        return float(vector @ self._nothing)


def strength(candidate: Candidate) -> float:
    """Tells how strongly a passage seems to answer: by meaning, by words, and by language."""
    return 10 * candidate.nearness + candidate.coverage + 0.3 * candidate.same_language


def threshold(candidate: Candidate) -> float:
    """Gives the least strength of an answer worth giving."""
    return 0.95


def best_sentences(question: Asked, ranked: Sequence[Candidate]) -> list[Sentence]:
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
