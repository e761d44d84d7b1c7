"""Cuts text into sentences, in any language that ends them with . ! ? or a line's end."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

# A stop ends a sentence when what follows could begin one; "z. B.", "4.90", "1. Mai" and "Mo. - Fr." do not.
_STOP = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”“»)\]]*+"
    r"(?=[^\S\n]++[\"'„“«»(\[*•–-]*+[^\W_a-zäöüßčćđšž]|\s*+$|[^\S\n]*+\n)"
)
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[^\W\d_]|z\.\s?B|d\.\s?h|u\.\s?a|o\.\s?ä|e\.\s?g|i\.\s?e|bzw|bspw|ca|evtl|ggf|inkl|exkl|zzgl|Nr|"
    r"Abs|Art|Str|Tel|Std|Min|Mr|Mrs|Ms|Dr|Prof|St|vs|approx|incl|excl|No|npr|tzv|itd|br|ul|tel|god|kn|sv|"
    r"Mo|Di|Mi|Do|Fr|Sa|So|pon|uto|sri|čet|pet|sub|ned)\.$",
    re.IGNORECASE,
)
_ORDINAL = re.compile(r"(?:^|\s)\d{1,2}\.$")
_LINE_OF_ITS_OWN = re.compile(r"\s*(?:[#>|*•–-]|\d{1,2}[.)]\s|$)")
NO_WRAPPING = 1_000_000
_NARROWEST_WRAP = 60


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text: text[start:end], without white space around it."""

    start: int
    end: int


def spans(text: str, wrapped_at: int | None = None) -> list[Span]:
    """Gives each sentence's place; together they cover all but white space.

    wrapped_at: the width at which lines are broken mid-sentence, as PDFs do; None guesses it from the
    text, NO_WRAPPING takes every line's end for a sentence's.
    """
    width = _wrap_width(text) if wrapped_at is None else wrapped_at
    found = []
    start = 0
    for end in sorted({*_stops(text), *_line_ends(text, width), len(text)}):
        span = _trimmed(text, start, end)
        if span.start < span.end:
            found.append(span)
        start = end
    return found


# A turn looks at the same few passages for each sentence of its answer, and the next turn often as well.
@lru_cache(maxsize=512)
def spans_of(passage: str) -> tuple[Span, ...]:
    """Gives the places of a passage's sentences, from memory where it was asked before."""
    return tuple(spans(passage))


def sentences(text: str) -> list[str]:
    """Gives the sentences themselves, in order."""
    return [text[span.start : span.end] for span in spans(text)]


def _stops(text: str) -> Iterator[int]:
    for stop in _STOP.finditer(text):
        before = text[max(0, stop.start() - 12) : stop.start() + 1]
        abbreviates = _ABBREVIATION.search(before) or _ORDINAL.search(before)
        if not (stop.group().startswith(".") and abbreviates):
            yield stop.end()


def _wrap_width(text: str) -> int:
    widest = max((len(line) for line in text.split("\n")), default=0)
    return widest if _NARROWEST_WRAP <= widest <= 2 * _NARROWEST_WRAP else NO_WRAPPING


def _line_ends(text: str, width: int) -> Iterator[int]:
    lines = text.split("\n")
    end = 0
    for line, following in pairwise(lines):
        end += len(line) + 1
        first_word = following.split(maxsplit=1)[0] if following.strip() else ""
        # A line that had room for the next word was ended by its author, not by its width.
        had_room = len(line) + 1 + len(first_word) <= width
        if had_room or _LINE_OF_ITS_OWN.match(following) or line.lstrip().startswith("#"):
            yield end


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)
