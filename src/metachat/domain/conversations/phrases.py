"""The platform's own sentences to customers, in every language it speaks."""

from typing import Literal

Phrase = Literal["handed_off", "apology", "taken_over", "released", "closed"]

_PHRASES: dict[Phrase, dict[str, str]] = {
    "handed_off": {
        "en": "I've asked a colleague to take over. Someone will reply here as soon as possible.",
        "de": "Ich habe eine Kollegin oder einen Kollegen gebeten zu übernehmen. "
        "Sie bekommen hier so bald wie möglich eine Antwort.",
        "hr": "Zamolio sam kolegu ili kolegicu da preuzme razgovor. Odgovor ćete dobiti ovdje čim prije.",
    },
    "apology": {
        "en": "I'm sorry, I can't answer right now because of a technical problem. "
        "I've asked a colleague to take over and reply to you here.",
        "de": "Es tut mir leid, wegen eines technischen Problems kann ich gerade nicht antworten. "
        "Ich habe eine Kollegin oder einen Kollegen gebeten, Ihnen hier zu antworten.",
        "hr": "Žao mi je, zbog tehničkog problema trenutačno ne mogu odgovoriti. "
        "Zamolio sam kolegu ili kolegicu da vam odgovori ovdje.",
    },
    "taken_over": {
        "en": "A colleague has joined the conversation.",
        "de": "Eine Kollegin oder ein Kollege hat das Gespräch übernommen.",
        "hr": "Kolega ili kolegica preuzeli su razgovor.",
    },
    "released": {
        "en": "The assistant is back and will answer your next questions.",
        "de": "Der Assistent ist wieder da und beantwortet Ihre nächsten Fragen.",
        "hr": "Asistent je opet tu i odgovorit će na vaša sljedeća pitanja.",
    },
    "closed": {
        "en": "This conversation was closed. Write again whenever you need us.",
        "de": "Dieses Gespräch wurde geschlossen. Schreiben Sie einfach wieder, wenn Sie uns brauchen.",
        "hr": "Ovaj je razgovor zatvoren. Pišite nam opet kad god zatrebate.",
    },
}


def say(phrase: Phrase, language: str) -> str:
    """Gives a sentence in a language, in English where we do not speak it."""
    return _PHRASES[phrase].get(language) or _PHRASES[phrase]["en"]
