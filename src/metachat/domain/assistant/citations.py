"""Citation markup in a model's output, and the proof that quoted words occur in their passage."""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from metachat.domain.assistant.model import Source

_OPENING = re.compile(r"[\[【]\s*\^?\s*(?=\d)")
_NUMBERS = re.compile(r"\d{1,3}(?:\s*[,&]\s*\d{1,3})*(?!\d)")
_QUOTE_OPENS = re.compile(r"\s*[:,;|–-]?\s*[\"“”„«»]")
_QUOTE_CLOSES = re.compile(r"[\"“”„«»]\s*[.…]?\s*[\]】]")
_CLOSING = re.compile(r"[\]】]")
_SPACES = re.compile(r" {2,}")
# Characters: more than all alphabets have that are in use.
_REMEMBERED = 20_000
_LONGEST_MARK = 1_200
_SHORTEST_QUOTE = 6
_ALIKE = str.maketrans(
    {
        **dict.fromkeys("“”„«»‟″", '"'),
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("‐‑‒–—−", "-"),
        "‹": "<",
        "›": ">",
    }
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Citation markup: text[start:end] names passages by number, and perhaps the words relied on."""

    start: int
    end: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Markup that begins here and whose end has not come yet."""

    start: int


def next_mark(text: str, start: int = 0) -> Mark | Unfinished | None:
    """Finds the first citation at or after `start`: `[2: "the words"]`, `[2]`, `[1, 3]`, `【1†…】`."""
    for opening in re.finditer(r"[\[【]", text[start:]):
        at = start + opening.start()
        found = _mark_at(text, at)
        if found is not None:
            return found
    return None


def _mark_at(text: str, at: int) -> Mark | Unfinished | None:
    opened = _OPENING.match(text, at)
    if opened is None:
        only_begun = re.fullmatch(r"[\[【]\s*\^?\s*", text[at:]) is not None
        return Unfinished(at) if only_begun else None
    numbers = _NUMBERS.match(text, opened.end())
    if numbers is None:
        return None
    quoted = _QUOTE_OPENS.match(text, numbers.end())
    closed = (_QUOTE_CLOSES if quoted else _CLOSING).search(text, (quoted or numbers).end())
    if closed is None or closed.end() - at > _LONGEST_MARK:
        return Unfinished(at) if len(text) - at <= _LONGEST_MARK else None
    quote = text[quoted.end() : closed.start()].strip() if quoted else ""
    cited = (int(number) for number in re.findall(r"\d+", numbers.group()))
    return Mark(at, closed.end(), tuple(Source(number, quote) for number in cited))


# What proves an answer proves the next one to the same question.
@lru_cache(maxsize=1024)
def locate(quote: str, text: str) -> str | None:
    """Gives the exact words of `text` that `quote` repeats, or None.

    White space, case and the style of quotation marks and dashes may differ; the words may not. A quote
    too short to prove anything (under six characters or two words) counts only as the whole text.
    """
    wanted = _folded(quote).strip(' ".…')
    if not wanted or (_proves_little(wanted) and wanted != _folded(text).strip(' ".…')):
        return None
    as_written = re.search(_whole(quote.strip()), text)
    if as_written is not None:
        return as_written.group()
    found = re.search(_whole(wanted), _folded(text))
    if found is None:
        return None
    places = _plain(text)[1]
    return text[places[found.start()] : places[found.end() - 1] + 1]


def _whole(words: str) -> str:
    # No match begins or ends within a word.
    return rf"(?<!\w){re.escape(words)}(?!\w)"


def _proves_little(wanted: str) -> bool:
    return len(wanted) < _SHORTEST_QUOTE or " " not in wanted


def _folded(text: str) -> str:
    return _SPACES.sub(" ", text.translate(_FOLDS))


class _Folds(dict[int, str | None]):
    """What becomes of each character, found out when it first occurs; None for what no reader sees."""

    def __missing__(self, code: int) -> str | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[code] = found = _plain(chr(code))[0] or None
        return found


_FOLDS = _Folds()


def _plain(text: str) -> tuple[str, list[int]]:
    # One character out for each that counts, with its place, so that a match leads back to the source.
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isspace():
            if folded and folded[-1] == " ":
                continue
            character = " "
        elif unicodedata.category(character) == "Cf":
            continue
        folded.append(character.translate(_ALIKE).lower()[:1])
        places.append(place)
    return "".join(folded), places
