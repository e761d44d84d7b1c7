"""Lets through to the customer only statements that a document bears out.

A model's output is a claim to check, never trusted text: a sentence passes when it cites words that
really occur in a passage, names nothing (number, address, link) that its passages do not name, and
repeats none of our own instructions. Everything else is dropped without a trace.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from metachat.domain.assistant import citations, words
from metachat.domain.assistant.model import AnswerRequest, Citation, Claim, Source
from metachat.domain.assistant.sentences import NO_WRAPPING, spans, spans_of
from metachat.domain.knowledge import Passage

# Stands for a citation while its sentence is looked at; private to us, taken out of what models write.
_MARK = "\ue000"
_MARK_AFTER_STOP = re.compile(rf"(?<![.!?…])([.!?…]++[\"'”“»)]*+)((?:\s*+{_MARK})++)")
_MARKUP = re.compile(
    r"!\[|<\s*[a-z/!]|&#|\]\s*[(\[]|\[[^\]]*\]:|```|\b(?:javascript|data|vbscript):", re.IGNORECASE
)
_ADDRESS = re.compile(
    r"\b[a-z][a-z0-9+.-]*://[^\s)\]>\"']+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:[\w-]+\.)+[^\W\d_]{2,}\b(?:/[^\s)\]>\"']*)?",
    re.IGNORECASE,
)
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s")
_LAST_STOP = re.compile(r"\s*([.!?…:;,]*)\s*$")
_LOOSE_STOP = re.compile(r"\s+([.!?…])")
_WORDS_OF_A_LEAK = 8
# Characters: nothing longer is a sentence, and nothing longer is waited for.
_LONGEST_SENTENCE = 1_500
_LEAST_SHARED = 0.5


@dataclass(slots=True)
class Gate:
    """Takes an answer's pieces as they come, and gives back what may be shown.

    secrets are texts of ours (the instructions to the model) of which no stretch may be repeated; nor
    may the request's nonce.
    """

    request: AnswerRequest
    secrets: tuple[str, ...] = ()
    citations: list[Citation] = field(default_factory=list)
    shown: str = ""
    _unread: str = ""
    _text: str = ""
    _sources: list[tuple[Source, ...]] = field(default_factory=list)

    def feed(self, text: str) -> str:
        """Takes more of a model's output; gives the sentences that are complete and proven now."""
        self._unread += words.visible(text).replace(_MARK, "")
        self._set_marks_aside()
        complete = spans(self._text, NO_WRAPPING)[:-1]
        if not complete and len(self._text) > 2 * _LONGEST_SENTENCE:
            self._text = ""
            self._sources.clear()
        return self._judge_up_to(complete[-1].end) if complete else ""

    def close(self) -> str:
        """Judges what is left when the output has ended; a citation cut short is none."""
        return self._judge_up_to(len(self._text))

    def claim(self, claim: Claim) -> str:
        """Takes one whole statement; gives it back, numbered, when it is proven."""
        return self._judge(claim.text, claim.sources, " ")

    def _set_marks_aside(self) -> None:
        read = 0
        while isinstance(mark := citations.next_mark(self._unread, read), citations.Mark):
            self._text += self._unread[read : mark.start] + _MARK
            self._sources.append(mark.sources)
            read = mark.end
        end = mark.start if isinstance(mark, citations.Unfinished) else len(self._unread)
        self._text += self._unread[read:end]
        self._unread = self._unread[end:]
        self._text = _MARK_AFTER_STOP.sub(r"\2\1", self._text)

    def _judge_up_to(self, end: int) -> str:
        judged, self._text = self._text[:end], self._text[end:]
        shown, before = "", 0
        for span in spans(judged, NO_WRAPPING):
            sentence = judged[span.start : span.end]
            cited = [source for _ in range(sentence.count(_MARK)) for source in self._sources.pop(0)]
            gap = "\n" if "\n" in judged[before : span.start] else " "
            shown += self._judge(sentence.replace(_MARK, ""), tuple(cited), gap)
            before = span.end
        return shown

    def _judge(self, sentence: str, sources: tuple[Source, ...], gap: str) -> str:
        if len(sentence) > _LONGEST_SENTENCE:
            return ""
        proven = self._proven(sentence, sources)
        stated = _stated(sentence)
        if not proven or not _bears_out(stated, proven, self.request) or self._leaks(stated.text):
            return ""
        numbers = "".join(f"[{number}]" for number in sorted({self._number(item) for item, _ in proven}))
        said = f"{stated.body} {numbers}{stated.stop}"
        if self.shown:
            said = gap + said
        self.shown += said
        return said

    def _proven(self, sentence: str, sources: tuple[Source, ...]) -> "list[_Proof]":
        found: list[_Proof] = []
        for source in sources:
            if 1 <= source.number <= len(self.request.passages):
                passage = self.request.passages[source.number - 1]
                quote = (
                    citations.locate(source.quote, passage.text)
                    if source.quote
                    else _closest(sentence, passage)
                )
                if quote is not None:
                    found.append((_citation(passage, quote), passage))
        return found

    def _leaks(self, text: str) -> bool:
        return self.request.nonce in text or _repeats(text, self.secrets)

    def _number(self, citation: Citation) -> int:
        if citation not in self.citations:
            self.citations.append(citation)
        return self.citations.index(citation) + 1


def _citation(passage: Passage, quote: str) -> Citation:
    return Citation(
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        document=passage.document,
        page=passage.page,
        heading=passage.heading,
        quote=quote,
        score=round(passage.similarity, 4),
    )


def _closest(sentence: str, passage: Passage) -> str | None:
    """Gives the passage's own sentence that says most of what `sentence` says, where half of it is said."""
    wanted = words.content_stems(sentence, passage.language)
    best, best_share = None, 0.5
    for span in spans_of(passage.text):
        candidate = passage.text[span.start : span.end]
        share = words.share(wanted, words.content_stems(candidate, passage.language))
        if share >= best_share:
            best, best_share = candidate, share
    return best


_Proof = tuple[Citation, Passage]


@dataclass(frozen=True, slots=True)
class _Statement:
    """A sentence as it may be said, citations between its body and its stop, and what must be borne out."""

    text: str
    body: str
    stop: str
    readable: bool
    addresses: tuple[str, ...]
    numbers: frozenset[str]


# What is said of a document comes back with every other question.
@lru_cache(maxsize=1024)
def _stated(sentence: str) -> _Statement:
    # Where a citation stood, a stop may be left alone.
    text = _LOOSE_STOP.sub(r"\1", " ".join(sentence.split())).lstrip(" .!?…")
    stop = _LAST_STOP.search(text)
    return _Statement(
        text,
        body=text[: stop.start()] if stop else text,
        stop=stop[1] if stop else "",
        readable=not _MARKUP.search(text) and any(character.isalpha() for character in text),
        addresses=tuple(found.group().rstrip(".,;:").lower() for found in _ADDRESS.finditer(text)),
        numbers=words.numbers(_LIST_NUMBER.sub("", text)),
    )


def _bears_out(stated: _Statement, proven: list[_Proof], request: AnswerRequest) -> bool:
    if not stated.readable:
        return False
    source = "\n".join(_around(passage.text, one.heading, one.quote) for one, passage in proven)
    if any(address not in source for address in stated.addresses):
        return False
    if not stated.numbers <= words.numbers(source) | words.numbers(request.question):
        return False
    if any(passage.language != request.language for _, passage in proven):
        # A translation shares few words with its source; numbers, addresses and the quote must do.
        return True
    said = words.content_stems(stated.text, request.language)
    return words.share(said, words.content_stems(source, request.language)) >= _LEAST_SHARED


# An answer's statements are mostly from the same few sentences.
@lru_cache(maxsize=512)
def _around(passage: str, heading: str | None, quote: str) -> str:
    """Gives the whole sentences that a quote is from, under their heading, as they are compared."""
    start = passage.find(quote)
    end = start + len(quote)
    touched = [one for one in spans_of(passage) if one.start < end and start < one.end]
    whole = [passage[one.start : one.end] for one in touched]
    return words.visible("\n".join([heading or "", *whole])).lower()


# One set of rules and instructions speaks to many customers, and hears the same sentences.
@lru_cache(maxsize=1024)
def _repeats(text: str, secrets: tuple[str, ...]) -> bool:
    said = words.tokens(text)
    stretches = [" ".join(said[at : at + _WORDS_OF_A_LEAK]) for at in range(len(said) - _WORDS_OF_A_LEAK + 1)]
    return any(stretch in _kept(secret) for secret in secrets for stretch in stretches)


@lru_cache(maxsize=64)
def _kept(secret: str) -> str:
    return " ".join(words.tokens(secret))
