"""Hears when a customer asks for a person, in English, German and Croatian."""

import re

_PERSON = {
    "en": r"(?:(?:a|an|some|your|the|another)\s+)?(?:real\s+|live\s+|actual\s+|human\s+)*"
    r"(?:person|human(?:\s+being)?|agent|representative|rep|operator|colleague|employee|advisor|adviser|"
    r"someone(?:\s+(?:real|human))?|somebody(?:\s+real)?|staff(?:\s+member)?|(?:customer\s+)?(?:service|support)"
    r"(?:\s+(?:agent|team|representative|person))?)",
    "de": r"(?:(?:mit|einen?|einer|einem|ihrem?|ihren|jemandem|jemanden|dem|der|den)\s+)*"
    r"(?:echten?r?m?\s+|richtigen?r?m?\s+|realen?\s+)*"
    r"(?:menschen?|person|mitarbeiter(?:in|n)?|kollege[n]?|kollegin|berater(?:in)?|mensch|jemande[mn]|"
    r"kundendienst|kundenservice|support|ansprechpartner(?:in)?)",
    "hr": r"(?:(?:s|sa|nekim|nekoga|neku|nekom|vašim|vaš[eu]g?)\s+)*"
    r"(?:pravi[m]?\s+|stvarn\w+\s+|živ\w+\s+|prav\w+\s+)*"
    r"(?:čovjek\w*|covjek\w*|osob\w+|agent\w*|operater\w*|djelatnik\w*|zaposlenik\w*|kolegom|kolegicom|ljudsk\w+\s+\w+|"
    r"korisničk\w+\s+(?:službom|podršk\w+)|podršk\w+|nekim|živim)",
}

# A wish and whom it is for; a question about people ("how many persons fit the tent?") has no such wish.
_WISHES = (
    r"\b(?:talk|speak|chat)\s+(?:to|with)\s+" + _PERSON["en"] + r"\b",
    r"\b(?:connect|transfer|put|hand|pass)\s+me\s+(?:over\s+|through\s+)?(?:to|with)\s+"
    + _PERSON["en"] + r"\b",
    r"\b(?:get|give)\s+me\s+(?:an?\s+)?(?:real\s+|live\s+|actual\s+)*"
    r"(?:human|person|agent|representative|operator)\b",
    r"\b(?:want|need|like|prefer)\s+(?:an?\s+)(?:(?:real|live|actual)\s+(?:human|person|agent)|human)\b",
    r"\bmit\s+" + _PERSON["de"] + r"\b[^.!?]{0,40}"
    r"\b(?:sprechen|reden|schreiben|chatten|verbinden|telefonieren)\b",
    r"\b(?:sprechen|reden|schreiben|chatten|verbinden\s+sie\s+mich|verbinde\s+mich)\b[^.!?]{0,30}\bmit\s+"
    + _PERSON["de"] + r"\b",
    r"\b(?:möchte|will|brauche|hätte\s+gern[e]?|bitte)\s+(?:an\s+)?(?:einen?|einem)\s+"
    r"(?:(?:echten|richtigen|realen)\s+(?:menschen|mitarbeiter|person)|menschen|mitarbeiter(?:in)?)\b",
    r"\b(?:razgovarati|pričati|pricati|govoriti|popričati|porazgovarati|dopisivati\s+se|razgovor)\s+"
    + _PERSON["hr"] + r"\b",
    r"\bspoj(?:i|ite)\s+me\s+" + _PERSON["hr"],
    r"\b(?:želim|zelim|trebam|hoću|hocu|molim|daj(?:te)?\s+mi)\s+(?:(?:živ|prav|stvarn)\w+\s+)"
    r"(?:čovjek\w*|covjek\w*|osob\w+|agent\w*)",
)  # fmt: skip
_WISH = re.compile("|".join(_WISHES), re.IGNORECASE)

# Nothing but the name of a person, as people type it into a chat.
_JUST_THAT = re.compile(
    r"\s*(?:(?:please|bitte|molim)\s*,?\s*)?(?:an?\s+|einen?\s+)?(?:(?:real|live|echte[rn]?|prav[ai]|živ[ai])\s+)?"
    r"(?:human|person|agent|operator|representative|mensch(?:en)?|mitarbeiter(?:in)?|kundendienst|"
    r"čovjek|osoba|operater|agent|djelatnik)(?:\s*,?\s*(?:please|bitte|molim))?\s*[.!?]*\s*",
    re.IGNORECASE,
)
_NOT_WANTED = re.compile(
    r"\b(?:don't|do not|no need to|nicht|kein\w*|ne\s+(?:želim|trebam|zelim))\b", re.IGNORECASE
)


def asks_for_person(text: str) -> bool:
    """Tell whether a customer asks to be passed on to a person."""
    if _JUST_THAT.fullmatch(text):
        return True
    wish = _WISH.search(text)
    return wish is not None and not _NOT_WANTED.search(text, max(0, wish.start() - 30), wish.end())
