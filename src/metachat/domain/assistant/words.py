"""Words as evidence: what a text is about, stripped of inflection and of words that say nothing."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

_TOKEN = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LONGEST_WORD = 60
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
# Snowball has no Croatian; its Serbian reads Latin script and both reflexes of yat.
_ALGORITHMS = {"en": "english", "de": "german", "hr": "serbian"}

_FUNCTION_WORDS = {
    "en": """
        a about after again ago all also am an and another any anybody anyone anything are around as ask at
        away be because been before being but by can cant could d did didn do does doesn doing don done each
        either else etc ever far few for from get gets getting give go goes going gonna got great had happen
        happens has high have having he help hello her here hers hey hi him his how however i id if ill im
        in into is isn it its ive just know let like ll long long lot m make makes many may maybe me might
        mine more most much must my need needs never new no not nothing now of off often ok okay on one only
        onto or other our out over own per perhaps please possible put question quite rather re really s
        same say see shall she should show shows since so some somebody someone something soon still stuff
        such sure t take takes tell than thank thanks that thats the their them then there theres these they
        thing things this those though through till to too try under until up us use ve very via wanna want
        wants was way we well were what whats when where whether which while who whom whose why will wish
        with within without won would yes yet you your yours
    """,
    "de": """
        ab aber alle allem allen aller alles als also am an andere anderen anders auch auf aus bei beim
        bekomme bekommen bekommt bin bis bist bitte brauche brauchen braucht da dabei dafür daher damit dann
        danke darf darfst das dass davon dazu dem den denn der des deshalb dein deine deinen dich die dies
        diese diesem diesen dieser dieses dir doch dort du durch dürfen eigentlich ein eine einem einen
        einer eines einfach er es etwas euch euer eure euren fragen frage für fürs gab ganz geben gegen
        gehen geht gern gerne gibt gibts gut habe haben habt hallo hast hat hatte hätte hier hi hilfe hoch
        ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins irgendwann irgendwie ist ja jede jedem
        jeden jeder jedes jemand jetzt kann kannst kein keine keinen könnt könnte können könnten krieg
        kriege kriegen lang lange leider mache machen macht mal man mehr mein meine meinem meinen meiner
        mich mir mit möchte möglich muss müssen musst nach nehmen nicht nichts nie noch nun nur ob oder oft
        ohne per schon sehr sein seine seit sich sie sind so soll sollte sollen sonst tun tut über um und
        uns unser unsere unter viel viele vom von vor wann war waren warum was weil welche welchem welchen
        welcher welches wem wen wenn wer werde werden wie wieder wieso will wir wird wirst wissen wo wohin
        woher wollen wurde würde würden zu zum zur zwischen
    """,
    "hr": """
        a ako ali am au baš bez bi bih bila bile bili bilo bio bismo biste biti bok bude budu ću će ćemo
        ćete ćeš čega čemu da dakle danas do dobar dan dobijem dobiti dok dosta dugo evo ga gdje god hoće
        hoću hvala i iako ih ili im ima imam imamo imate imaju imati inače ipak iz iza između ja je jedan
        jedna jedno jel jer jesam jesi jesmo jest jeste jesu još ju kada kad kako kakav kakva kakve kakvo
        kao koja koje kojeg kojem koji kojih kojim koju kod koliki kolika koliko kroz li me među mene meni
        mi mogu moguće može možemo možete možeš moći moj moja moje moju molim mora moraju moram moramo
        morate možda na nad nakon nam nama naš naša naše nas natrag ne neće neka neke neki neko nekoga nema
        nemam nego nešto ni nije nikad nisam nisu ništa njega njemu njih njoj njom o od odnosno on ona one
        oni ono onda onaj ova ovaj ove ovo oko osim opet pa pitanje po pod pomoć pozdrav prema pri preko
        pitati s sa sam samo sebe se si smije smijem smo ste su sva sve svi što šta ta tada taj tako također
        te ti to toga tome treba trebam tu tko u uz uzeti uzmem vam vama vas vaš vaša vaše već vi vrlo za
        zar zašto zbog želim željeti znati znam zna
    """,
}
_EMPTY = {language: frozenset(listed.split()) for language, listed in _FUNCTION_WORDS.items()}
_ALL_EMPTY = frozenset().union(*_EMPTY.values())


# Characters: more than all alphabets have that are in use.
_REMEMBERED = 20_000


class _Visible(dict[int, int | None]):
    """What becomes of each character, found out when it first occurs."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        hidden = unicodedata.category(character) in {"Cf", "Cc", "Co", "Cs", "Cn"} and character not in "\n\t"
        if len(self) >= _REMEMBERED:
            self.clear()
        self[code] = found = None if hidden else code
        return found


_VISIBLE = _Visible()


def visible(text: str) -> str:
    """Takes out what no reader sees: zero-width, direction, tag and control characters; composes the rest."""
    return unicodedata.normalize("NFC", text).translate(_VISIBLE)


def tokens(text: str) -> list[str]:
    """Gives the words and numbers, in lower case and in order."""
    return [found.lower() for found in _TOKEN.findall(text)]


@lru_cache(maxsize=1024)
def numbers(text: str) -> frozenset[str]:
    """Gives each number a text names, written alike: "4,90" and "4.90" are one."""
    return frozenset(re.sub(r"[,:]", ".", found).removesuffix(".00") for found in _NUMBER.findall(text))


def is_content(word: str, language: str) -> bool:
    """Tells whether a word says what a text is about, rather than holding it together."""
    return 1 < len(word) <= _LONGEST_WORD and word not in _EMPTY.get(language, _ALL_EMPTY)


def content_words(text: str, language: str) -> list[str]:
    """Gives the words a text is about, in order, as they are written but in lower case."""
    return [word for word in tokens(text) if is_content(word, language)]


# Sentences of documents come back with every other question.
@lru_cache(maxsize=1024)
def content_stems(text: str, language: str) -> frozenset[str]:
    """Gives the stems of the words a text is about."""
    return frozenset(stem(word, language) for word in content_words(text, language))


@lru_cache(maxsize=20_000)
def stem(word: str, language: str) -> str:
    """Gives what stays of a word when it is inflected; accents go, since customers leave them out."""
    if word.isdigit():  # every order's number is another word, and none is inflected
        return word
    algorithm = _ALGORITHMS.get(language)
    stemmed = _stemmer(algorithm).stemWord(word) if algorithm else word
    return _without_accents(stemmed)


def share(wanted: Iterable[str], known: Iterable[str]) -> float:
    """Gives how much of `wanted` is in `known`, from 0 to 1; 1 when nothing is wanted."""
    needed = frozenset(wanted)
    return len(needed & frozenset(known)) / len(needed) if needed else 1.0


def function_words(found: Iterable[str], language: str) -> int:
    """Counts those of a text's words that hold that language together."""
    empty = _EMPTY[language]
    return sum(word in empty for word in found)


@lru_cache(maxsize=8)
def _stemmer(algorithm: str) -> Any:
    # Imported at first use: it brings forty languages, 14 MB that a process which answers nothing never pays.
    return import_module("snowballstemmer").stemmer(algorithm)


def _without_accents(word: str) -> str:
    decomposed = unicodedata.normalize("NFD", word.replace("đ", "d").replace("ß", "ss"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
