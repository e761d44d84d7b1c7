"""Words as evidence: what a text is about, stripped of inflection and of words that say nothing."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import snowballstemmer

_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
# Snowball has no Croatian; its Serbian reads Latin script and both reflexes of yat.
_ALGORITHMS = {"en": "english", "de": "german", "hr": "serbian"}

_FUNCTION_WORDS = {
    "en": """a about after all also am an and any anybody anyone anything are as at be because been before but by can cant
        could d did didn do does doesn doing don done each either etc few for from get gets getting give go going got had
        has have having he her here hers hi hello hey him his how i id if ill im in into is isn it its ive just know let like ll
        m many may maybe me might mine more most much must my need no not now of off ok on one only or other our out
        over own per please possible put re really s same she should so some somebody someone something still such t take tell
        than thank thanks that thats the their them then there theres these they thing things this those through to too
        under until up us use ve very via want was way we were what whats when where which while who whom whose why will
        with within won would you your yours yes""",
    "de": """ab aber alle allem allen aller alles als also am an andere anderen auch auf aus bei beim bin bis bist bitte da
        dabei dafür daher damit dann danke darf darfst das dass dazu dem den denn der des dein deine deinen dich die dies diese
        diesem diesen dieser dieses dir doch dort du durch dürfen ein eine einem einen einer eines er es etwas euch euer
        eure euren für gab geben gegen geht gehen gibt gibts gut habe haben habt hallo hast hat hatte hi hier ich ihm ihn ihnen ihr
        ihre ihrem ihren ihrer im in ins ist ja jede jedem jeden jeder jedes jetzt kann kannst kein keine keinen könnt
        könnte können könnten krieg kriege kriegen man mal mehr mein meine meinem meinen meiner mich mir mit muss musst möchte möglich müssen nach nicht
        nichts noch nun nur ob oder oft ohne per schon sehr sein seine seit sich sie sind so soll sollte sollen sonst tun tut über um
        und uns unser unsere unter viel viele vom von vor wann war waren warum was weil welche welchem welchen welcher
        welches wem wen wenn wer werde werden wie wieder will wir wird wirst wo wohin woher wollen wurde würde würden zu zum zur zwischen""",
    "hr": """a ako ali am au bez bi bih bila bile bili bilo bio biste bismo biti bude budu ću će ćemo ćete ćeš čega čemu da dakle
        danas do dobar dan dosta dok evo ga gdje god hoće hoću hvala i iako ih ili im ima imam imamo imate imaju imati iz iza
        ja je jel jer jesam jesi jesu jest jesmo jeste još ju kada kad kako kao koja koje kojeg kojem koji kojih kojim koju kod koliko
        kroz li me među mene meni mi mogu moguće može možemo možete možeš moći moj moja moje moju molim mora moram moramo morate
        moraju na nad nakon nam nama naš naša naše nas ne neće neka neke neki neko nego nekoga nešto ni nije nisam nisu ništa
        njega njemu njih njoj njom o od odnosno on ona one oni ono onda ova ovaj ove ovo oko osim pa po pod pozdrav prema pri prije
        preko s sa sam samo se sebe si smije smijem smo ste su sva sve svi što šta ta tada taj tako također te ti to toga tome
        treba trebam tu tko u uz vam vama vas vaš vaša vaše već vi za zar zašto zbog želim željeti""",
}
_EMPTY = {language: frozenset(listed.split()) for language, listed in _FUNCTION_WORDS.items()}
_ALL_EMPTY = frozenset().union(*_EMPTY.values())


def visible(text: str) -> str:
    """Takes out what no reader sees: zero-width, direction, tag and control characters; composes the rest."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(
        character
        for character in composed
        if character in "\n\t" or unicodedata.category(character) not in {"Cf", "Cc", "Co", "Cs", "Cn"}
    )


def tokens(text: str) -> list[str]:
    """Gives the words and numbers, in lower case and in order."""
    return [found.lower() for found in _TOKEN.findall(text)]


def numbers(text: str) -> frozenset[str]:
    """Gives each number a text names, written alike: "4,90" and "4.90" are one."""
    return frozenset(re.sub(r"[,:]", ".", found).removesuffix(".00") for found in _NUMBER.findall(text))


def is_content(word: str, language: str) -> bool:
    """Tells whether a word says what a text is about, rather than holding it together."""
    return len(word) > 1 and word not in _EMPTY.get(language, _ALL_EMPTY)


def content_words(text: str, language: str) -> list[str]:
    """Gives the words a text is about, in order, as they are written but in lower case."""
    return [word for word in tokens(text) if is_content(word, language)]


def content_stems(text: str, language: str) -> frozenset[str]:
    """Gives the stems of the words a text is about."""
    return frozenset(stem(word, language) for word in content_words(text, language))


@lru_cache(maxsize=20_000)
def stem(word: str, language: str) -> str:
    """Gives what stays of a word when it is inflected; accents go, since customers leave them out."""
    algorithm = _ALGORITHMS.get(language)
    stemmed = _stemmer(algorithm).stemWord(word) if algorithm else word
    return _without_accents(stemmed)


def share(wanted: Iterable[str], known: Iterable[str]) -> float:
    """Gives how much of `wanted` is in `known`, from 0 to 1; 1 when nothing is wanted."""
    needed = frozenset(wanted)
    return len(needed & frozenset(known)) / len(needed) if needed else 1.0


def function_words(text: str, language: str) -> int:
    """Counts the words of a text that hold that language together."""
    return sum(word in _EMPTY[language] for word in tokens(text))


@lru_cache(maxsize=8)
def _stemmer(algorithm: str) -> Any:
    return snowballstemmer.stemmer(algorithm)


def _without_accents(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.replace("đ", "d").replace("ß", "ss"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
