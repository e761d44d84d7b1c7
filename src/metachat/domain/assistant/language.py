"""Tells in which language a short text is written, by the small words and letters that give it away."""

import re
from functools import lru_cache

from metachat.domain.assistant import words
from metachat.domain.assistant.concepts import meanings_of
from metachat.domain.assistant.model import Question

_DEFAULT = "en"
_LONGEST_SAMPLE = 1_000
_LETTERS = {"de": re.compile(r"[äöüß]"), "hr": re.compile(r"[čćđšž]")}
_ENDINGS = {
    "en": re.compile(r"\b\w{3,}(?:ing|tion|able|ies|ould|ght)\b"),
    "de": re.compile(
        r"\b\w{3,}(?:ung|keit|heit|lich|isch|ieren|chen|schaft|igen)\b|\b\w*(?:sch|tz|ck|pf)\w*\b"
    ),
    "hr": re.compile(
        r"\b\w{2,}(?:nje|nja|ati|iti|jeti|ost|osti|anja|icu|ica|ama|ima|ujem|ujete|avate|omu|oga)\b"
    ),
}


# A turn asks three times about the same message.
@lru_cache(maxsize=256)
def detect(text: str) -> str | None:
    """Gives "en", "de" or "hr", or None where the text does not tell."""
    text = text[:_LONGEST_SAMPLE]
    lowered = text.lower()
    scores = dict.fromkeys(_ENDINGS, 0.0)
    for word in words.tokens(text):
        for language, points in _points(word):
            scores[language] += points
    for language, letters in _LETTERS.items():
        scores[language] += 2 * bool(letters.search(lowered))
    best, second = sorted(scores, key=lambda language: -scores[language])[:2]
    return best if scores[best] > scores[second] else None


@lru_cache(maxsize=20_000)
def _points(word: str) -> tuple[tuple[str, float], ...]:
    # What one word says for each language that it says anything for.
    found = (
        (
            language,
            words.function_words((word,), language)
            + 0.5 * len(ending.findall(word))
            + 0.5 * bool(meanings_of(words.stem(word, language), language)),
        )
        for language, ending in _ENDINGS.items()
    )
    return tuple((language, points) for language, points in found if points)


def of_answer(question: Question) -> str:
    """Gives the language to answer in: the tenant's choice, the question's own, the contact's, English."""
    earlier = " ".join(turn.text for turn in question.history if turn.author == "customer")
    return (
        question.profile.answer_language
        or detect(question.text)
        or detect(earlier)
        or (question.language or "")[:2].lower()
        or _DEFAULT
    )
