"""Which language a text is in, and how its words are made comparable."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

# The most frequent function words of each language; enough to tell them apart in a sentence or two, and
# the words that a search leaves out.
_STOPWORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """a about after all also an and any are as at be because been but by can could did do does for
            from had has have he her his how i if in into is it its may me more my no not of on or our out she
            should so some such than that the their them then there these they this to up us was we were what
            when where which while who why will with would you your""",
        "de": """aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dein dem
            den der des die dies diese dieser doch du durch ein eine einem einen einer eines er es für gibt
            hat habe haben hier ich ihr ihre im in innerhalb ist ja kann kein keine können man mein mit
            nach nicht noch nur ob oder ohne sein sich sie sind so soll über um und uns unser unsere unter
            vom von vor war warum was wenn wer werden wie wieder wir wird wo zu zum zur""",
        "hr": """a ako ali bez bi bila bilo bio biti će da do ga gdje i ih ili im iz ja je jer jesam jesu još
            kad kada kako kao koja koje koji kojem koju kod koliko li mi mogu moj moja moje može možete na nam
            naš naša nakon ne nego neka ni nije niti no o od on ona oni ono ova ovaj ove ovo po pod pri prije
            s sa samo se smo ste su sve što šta ta taj te tko to tu u uz vam vas vaš vaša već vi za zašto""",
        "fr": """au aux avec ce ces cette comme dans de des du elle en est et être il ils je la le les leur
            lui mais ne nos notre nous on ou où par pas plus pour qu que qui sa sans se ses son sont sur un
            une vos votre vous""",
        "es": """al como con de del desde donde el ella en es esta este está están la las lo los más me mi muy
            no nos o para pero por que qué se si sin sobre son su sus también un una y ya""",
        "it": """al alla anche che chi come con da dal dalla degli dei del della delle di dove e è gli ha i il
            in la le lo ma mi ne nel nella non o per più può quando questo se si sono su un una""",
        "pt": """ao aos as com como da das de do dos e ela ele em entre é está eu foi isso mais mas na nas não
            no nos o os ou para pela pelo por que quem se sem ser seu sua são também um uma você""",
        "nl": """aan als bij dat de deze die dit door een en er geen had heb heeft het hij hoe ik in is je kan
            maar met na naar niet of om ook op over te tot uit van voor was wat we wij worden wordt zijn""",
    }.items()
}

# Configurations that every Postgres has. Croatian has none: its words are stemmed here.
_CONFIGURATIONS: dict[str, str] = {
    "en": "english",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "nl": "dutch",
}

UNKNOWN = "und"

_WORD = re.compile(r"\w+")
_SAMPLE = 20_000


def detect_language(text: str, *, default: str = UNKNOWN) -> str:
    """Tell the language (ISO 639-1) by its function words and letters; `default` when nothing stands out."""
    words = Counter(words_of(text[:_SAMPLE]))
    scores = {
        language: sum(count for word, count in words.items() if word in stopwords)
        for language, stopwords in _STOPWORDS.items()
    }
    scores["hr"] += sum(
        count for word, count in words.items() if not word.isascii() and set(word) & set("čćđšž")
    )
    scores["de"] += sum(
        count for word, count in words.items() if not word.isascii() and set(word) & set("äöüß")
    )
    best, second = sorted(scores, key=lambda language: -scores[language])[:2]
    return best if scores[best] > scores[second] else default


def configuration(language: str) -> str:
    """The Postgres text search configuration for a language; "simple" where it has none."""
    return _CONFIGURATIONS.get(language, "simple")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(text.lower())


def content_words(text: str, *, language: str | None = None) -> list[str]:
    """The distinct words of a question that carry meaning, in order; all of them when none does.

    A word is left out when it is a function word of the question's language (told from the text, or else
    `language`); when that is not known either, when any language counts it as one.
    """
    language = detect_language(text, default=language or UNKNOWN)
    ignored = _STOPWORDS.get(language) or frozenset().union(*_STOPWORDS.values())
    words = list(dict.fromkeys(words_of(text)))
    return [word for word in words if word not in ignored] or words


def searchable(text: str, language: str) -> str:
    """The text as full-text search should index it: Croatian words by their stems, others untouched."""
    return " ".join(stems(words_of(text))) if language == "hr" else text


def stems(words: Iterable[str]) -> list[str]:
    """Croatian words without their endings and diacritics."""
    return [stem(word) for word in words]


# Endings of Croatian nouns, adjectives and verbs, the longest first; a light stemmer takes one. A longer list
# measured worse (docs/decisions/0010-croatian-stems.md).
_ENDINGS = sorted(
    """ama ima oga ega omu emu ome om em im ih oj og eg a e i o u ati iti eti ova evi ovi eva ove eve ovima
    evima anje enje anja enja anju enju ija ije iju iji ijom ost osti ošću uje uju""".split(),  # noqa: SIM905
    key=len,
    reverse=True,
)
_SHORTEST_STEM = 3
_PLAIN = str.maketrans("čćđšž", "ccdsz")
_PLAIN_ENDINGS = [ending.translate(_PLAIN) for ending in _ENDINGS]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Strip one ending; what remains keeps a vowel and at least three letters."""
    plain = word.translate(_PLAIN)
    for ending in _PLAIN_ENDINGS:
        root = plain.removesuffix(ending)
        if root != plain and len(root) >= _SHORTEST_STEM and set(root) & set("aeiour"):
            return root
    return plain
