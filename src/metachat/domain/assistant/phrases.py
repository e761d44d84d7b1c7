"""What the assistant says of its own, in the customer's language: a greeting, or that it doesn't know."""

from metachat.domain.assistant import words

_DECLINED = {
    "en": "I couldn't find an answer to this in our documents. Would you like to talk to a person?",
    "de": "Dazu steht nichts in unseren Unterlagen. Möchten Sie mit einem Menschen sprechen?",
    "hr": "U našim dokumentima nema odgovora na to pitanje. Želite li razgovarati s osobom?",
}
_GREETED = {
    "en": "Hello! What would you like to know{brand}?",
    "de": "Hallo! Was möchten Sie{brand} wissen?",
    "hr": "Pozdrav! Što Vas zanima{brand}?",
}
_BRAND = {"en": " about {}", "de": " über {}", "hr": " o nama ({})"}
_THANKED = {
    "en": "You're welcome! Ask me whenever you need something else.",
    "de": "Gern geschehen! Fragen Sie jederzeit, wenn Sie noch etwas brauchen.",
    "hr": "Nema na čemu! Slobodno pitajte ako Vas još nešto zanima.",
}
_LONGEST_COURTESY = 60
_GREETINGS = frozenset(
    word
    for line in (
        "hello hi hey good morning afternoon evening day there",
        "hallo servus moin grüß gruß gruss gott guten tag morgen abend",
        "bok pozdrav dobar dan dobro jutro dobra večer zdravo",
    )
    for word in line.split()
)
_THANKS = frozenset(
    word
    for line in (
        "thanks thank you thx cheers great perfect super",
        "danke dankeschön vielen dank herzlichen schön sehr",
        "hvala puno lijepa vam ti odlično",
    )
    for word in line.split()
)


def declined(language: str) -> str:
    """Says that the documents don't answer, and offers a person."""
    return _DECLINED.get(language, _DECLINED["en"])


def courtesy(text: str, language: str, brand: str) -> str | None:
    """Gives the reply to a greeting or a thank-you; None for anything else."""
    said = frozenset(words.tokens(text[:_LONGEST_COURTESY]))
    if not said or len(said) > 4 or len(text) > _LONGEST_COURTESY:
        return None
    if said <= _GREETINGS:
        named = _BRAND.get(language, _BRAND["en"]).format(brand) if brand else ""
        return _GREETED.get(language, _GREETED["en"]).format(brand=named)
    if said <= _THANKS:
        return _THANKED.get(language, _THANKED["en"])
    return None
