"""What kind of thing a question asks for, and whether a sentence has such a thing to offer."""

import re
from dataclasses import dataclass

_NUMBER_WORDS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|twelve|once|twice|"
    "einen?|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|zwölf|einmal|zweimal|"
    "jednom|dvaput|dva|dvije|tri|četiri|pet|šest|sedam|osam|devet|deset"
)
_UNITS = (
    r"hours?|minutes?|min|days?|weeks?|months?|years?|seasons?|"
    r"stunden?|minuten?|\w*tage?n?|werktags?|wochen?|monate?n?|jahre?n?|"
    r"sati?|sata|minut\w*|dana?|dan|tjed\w+|mjesec\w*|godin\w+"
)
_MONEY = (
    r"[€$£]|\b(?:eur|euros?|usd|chf|kn|kuna|dollars?)\b|"
    r"\b\w*(?:kostenlos|gratis|kostenfrei)\b|\bfree\b|\bbesplatn\w+"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question: how it is asked, and what its answer contains."""

    asked: re.Pattern[str]
    answered: re.Pattern[str]


def _kind(asked: str, answered: str) -> Kind:
    return Kind(re.compile(asked, re.IGNORECASE), re.compile(answered, re.IGNORECASE))


_KINDS = (
    _kind(
        r"\bhow long\b|\bhow (?:many|much) (?:days|weeks|months|years|hours|time)|"
        r"\bhow (?:often|soon|fast|quickly)\b|\bwhen\b|\buntil\b|"
        r"\bwie ?lange?\b|"
        r"\bwie (?:oft|schnell|viele? (?:tage|wochen|monate|jahre|stunden|zeit))\b|\bwann\b|"
        r"\bbis wann\b|"
        r"\bkoliko (?:dugo|često|brzo|traje|se čeka|se ceka|vrijedi)|"
        r"\bkoliko (?:vremena|dana|tjedana|mjeseci|godina|sati)|"
        r"\bkad[a]?\b|\bdo kada?\b|\brok\w*\b|"
        r"\bexpir\w+|\bvalid\b",
        rf"(?:\d|\b(?:{_NUMBER_WORDS})\b)[\d.,–-]*\s*(?:(?:to|bis|do|-|–)\s*\S+\s+)?(?:\w+\s+)?(?:{_UNITS})\b|"
        rf"\d{{1,2}}[:.]\d{{2}}|\b(?:{_UNITS}): \d",
    ),
    _kind(
        r"\bhow much\b|\bcosts?\b|\bprices?\b|\bfees?\b|\bcharge\b|\bexpensive\b|\bminimum\b|"
        r"\bwie ?viel (?!e?\s*(?:tage|wochen))|\bkoste\w*|\bpreise?\b|\bgebühr\w*|\bteuer\b|"
        r"\bgratis\b|\bkostenlos\b|\bab wann\b|"
        r"\bcijen\w+|\bko[sš]ta\w*|\bstoji\b|\btroš\w+|\bnaknad\w+|\biznos\w*|\bbesplat\w+|\bfree\b",
        _MONEY,
    ),
    _kind(
        r"\b(?:opening|open|close[sd]?|closing)\b|\boffen\b|\böffnungszeit\w*|\bgeöffnet\b|"
        r"\bgeschlossen\b|\bradno vrijeme\b|\botvoren\w*|\bradite\b|\bzatvoren\w*",
        r"\d{1,2}[:.]\d{2}|\b\d{1,2} (?:uhr|sati|am|pm|h)\b|\bclosed\b|\bgeschlossen\b|\bzatvoren\w*",
    ),
    _kind(
        r"\bcontact\b|\bphone\b|\bcall\b|\be-?mail\b|\breach\b|\bkontakt\w*|\btelefon\w*|"
        r"\banrufen\b|\berreiche\w*|\bnazvati\b|\bzvati\b|\bbroj telefona\b",
        r"\S+@\S+\.\w+|\+\d[\d /-]{6,}|\b0\d{2,}[\d /-]{4,}",
    ),
    _kind(
        r"\bwhere\b|\baddress\b|\blocated\b|\bwo\b|\bwohin\b|\badresse\b|\bgdje\b|\bkamo\b|\badres\w+",
        r"\b\d{4,5} [A-ZÄÖÜČŠŽ]\w+|\w+(?:gasse|straße|strasse|street|road|ulica|platz|trg)\b|\S+@\S+\.\w+",
    ),
    _kind(
        r"\bhow (?:many|much|big|heavy|large)\b|\bwie (?:viele?|groß|schwer)\b|\bkoliko\b|"
        r"\bkoliki\b|\bwhat size\b|\bwelche größe\b|\bkoj\w+ veličin\w+",
        r"\d",
    ),
)


def answers_its_kind(question: str, sentence: str) -> bool | None:
    """Tells whether a sentence offers what the question asks for; None when it asks for nothing special."""
    asked = [kind for kind in _KINDS if kind.asked.search(question)]
    if not asked:
        return None
    return any(kind.answered.search(sentence) for kind in asked)
