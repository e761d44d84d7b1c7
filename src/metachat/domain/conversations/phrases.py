"""The platform's own sentences to customers, in every language it speaks."""

from typing import Literal

Phrase = Literal[
    "handed_off", "apology", "taken_over", "released", "closed", "file_received", "voice_received",
    "order_received",
]  # fmt: skip

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
    "file_received": {
        "en": "Thank you, it has arrived. I can't look at it myself: please tell me in words how I can help. "
        "If you would rather have a colleague look at it, just write “person”.",
        "de": "Danke, es ist angekommen. Ich kann es selbst nicht ansehen: Bitte schreiben Sie mir in "
        "Worten, wie ich helfen kann. Wenn es sich lieber jemand ansehen soll, schreiben Sie einfach "
        "„Mitarbeiter“.",
        "hr": "Hvala, stiglo je. Sam to ne mogu pogledati: molim vas, napišite mi riječima kako mogu pomoći. "
        "Ako želite da to pogleda kolega ili kolegica, napišite samo „osoba“.",
    },
    "voice_received": {
        "en": "Thank you for your voice message. I can't listen to it myself, so I've asked a colleague to. "
        "Someone will reply here as soon as possible.",
        "de": "Danke für Ihre Sprachnachricht. Ich kann sie selbst nicht anhören und habe deshalb eine "
        "Kollegin oder einen Kollegen darum gebeten. Sie bekommen hier so bald wie möglich eine Antwort.",
        "hr": "Hvala na glasovnoj poruci. Sam je ne mogu poslušati pa sam zamolio kolegu ili kolegicu. "
        "Odgovor ćete dobiti ovdje čim prije.",
    },
    "order_received": {
        "en": "Thank you for your order. I've passed it on to a colleague, who will reply here as soon as "
        "possible.",
        "de": "Danke für Ihre Bestellung. Ich habe sie weitergegeben; Sie bekommen hier so bald wie möglich "
        "eine Antwort.",
        "hr": "Hvala na narudžbi. Proslijedio sam je kolegama; odgovor ćete dobiti ovdje čim prije.",
    },
}


def say(phrase: Phrase, language: str) -> str:
    """Gives a sentence in a language, in English where we do not speak it."""
    return _PHRASES[phrase].get(language) or _PHRASES[phrase]["en"]
