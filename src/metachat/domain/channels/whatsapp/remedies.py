"""What to do about each of Meta's errors, and how to say it to the tenant's staff. Pure."""

from dataclasses import dataclass
from typing import Any, Literal

from metachat.domain.channels.outgoing import NotSent, Remedy, WindowClosed
from metachat.domain.channels.whatsapp.reading import Object, part, text

_LONGEST_PAUSE = 3_600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One kind of refusal: what becomes of the message, and the sentence that staff read."""

    remedy: Remedy
    reason: str
    concerns: Literal["message", "channel"] = "message"
    after: float | None = None
    cause: str = ""


def _throttled(what: str, after: float | None = None) -> Answer:
    return Answer("wait", f"WhatsApp limits {what}; the message is sent as soon as it allows.", after=after)


def _channel(cause: str, reason: str) -> Answer:
    return Answer("tell", reason, concerns="channel", cause=cause)


def _lost(reason: str) -> Answer:
    return Answer("give_up", reason)


_TOKEN = _channel("token", "WhatsApp no longer accepts this channel's access token; enter a new one.")
_RIGHTS = _channel("rights", "The access token may not send here; it needs whatsapp_business_messaging.")
_BLOCKED = _channel("blocked", "Meta has restricted this WhatsApp account; see its Business Support page.")
_PAYMENT = _channel("payment", "WhatsApp wants a valid payment method before it sends more.")
_NUMBER = _channel("number", "This number is not registered for sending; see Meta's WhatsApp manager.")

# https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
ANSWERS: dict[int, Answer] = {
    0: _TOKEN,
    190: _TOKEN,
    3: _RIGHTS,
    10: _RIGHTS,
    131005: _RIGHTS,
    104: _TOKEN,
    **dict.fromkeys(range(200, 300), _RIGHTS),
    368: _BLOCKED,
    130497: _lost("This WhatsApp account may not write to people in that country."),
    131031: _BLOCKED,
    131042: _PAYMENT,
    131045: _NUMBER,
    133010: _NUMBER,
    4: _throttled("how often this app may call it", 60),
    80007: _throttled("how often this account may call it", 60),
    130429: _throttled("how many messages this number may send"),
    131048: _throttled("this number after complaints about its messages", 60),
    131056: _throttled("how often one person may be written to", 6),
    133016: _throttled("how often this number may be registered", 600),
    1: Answer("retry", "WhatsApp could not take the message just then; it is tried again."),
    2: Answer("retry", "WhatsApp was not available; the message is sent again."),
    131000: Answer("retry", "WhatsApp could not take the message just then; it is tried again."),
    131016: Answer("retry", "WhatsApp was not available; the message is sent again."),
    131057: Answer("retry", "This WhatsApp account is in maintenance; the message is sent again.", after=60),
    100: _lost("WhatsApp calls the message malformed."),
    131008: _lost("WhatsApp misses something in the message."),
    131009: _lost("WhatsApp calls a value of the message wrong."),
    131021: _lost("The recipient is this very number."),
    131026: _lost("WhatsApp cannot reach this person: no account, an old app, or terms not accepted."),
    131030: _lost("This test number may only write to people on its list."),
    131037: _channel("name", "WhatsApp wants this number's display name approved before it sends more."),
    131049: _lost("WhatsApp chose not to deliver this marketing message, to keep people well-disposed."),
    131050: _lost("This person does not want marketing messages from this business."),
    131051: _lost("WhatsApp does not support this kind of message."),
    131052: _lost("WhatsApp could not fetch the attachment."),
    131053: _lost("WhatsApp did not accept the attachment: its type, its size, or its content."),
    130472: _lost("This person is part of an experiment of Meta's and gets no such message."),
    135000: _lost("WhatsApp calls the message's parameters wrong."),
}

_WINDOW = "The customer last wrote more than 24 hours ago: only a template reaches them now."
_TEMPLATES = {
    132000: "The template was sent with another number of parameters than it has.",
    132001: "There is no such approved template in this language.",
    132005: "The template's text becomes too long with these parameters.",
    132007: "The template breaks WhatsApp's content policy.",
    132012: "A parameter of the template has the wrong form.",
    132015: "WhatsApp has paused the template because of its low quality.",
    132016: "WhatsApp has switched the template off because of its low quality.",
    132068: "The template's flow is blocked.",
    132069: "The template's flow is throttled.",
}
_WINDOW_CLOSED = 131047
_PARAMETER, _NO_SUCH_OBJECT = 100, "33"
_WRONG_NUMBER = _channel("number", "WhatsApp does not know this channel's phone number id; check it.")


def judge(status: int, answer: Any, after: float | None = None) -> NotSent:
    """Say what to do about a refusal, by its code, or by the status of HTTP where that is unknown.

    after: how many seconds the provider asks to wait.
    """
    error = part(answer, "error") if isinstance(answer, dict) else {}
    given = text(error, "code")[:20]
    code = int(given) if given.lstrip("-").isdecimal() else -1
    told = text(part(error, "error_data"), "details") or text(error, "message")
    pause = None if after is None else min(max(after, 0.0), _LONGEST_PAUSE)
    if code == _WINDOW_CLOSED:
        return WindowClosed(_WINDOW, code=given)
    known = ANSWERS.get(code) or _of_template(code)
    if code == _PARAMETER and text(error, "error_subcode") == _NO_SUCH_OBJECT:
        known = _WRONG_NUMBER
    if known is not None and not (status >= 500 and known.remedy == "give_up"):
        reason = known.reason if known.remedy == "wait" or not told else f"{known.reason} ({told[:300]})"
        wait = pause if pause is not None else known.after
        return NotSent(
            known.remedy, reason, code=given, after=wait, concerns=known.concerns, cause=known.cause
        )
    return _by_status(status, given, told, pause, answered=bool(error))


def failure(error: Object) -> dict[str, str]:
    """Describe a failure that was told after the message had been accepted; error has code, title, detail."""
    told = text(error, "detail", "title")
    known = judge(400, {"error": {"code": text(error, "code"), "message": told}})
    return {"code": known.code, "reason": known.reason[:500], "remedy": known.remedy}


def _of_template(code: int) -> Answer | None:
    if not 132000 <= code < 133000:
        return None
    return Answer("tell", _TEMPLATES.get(code, "WhatsApp did not accept the template."), cause="template")


def _by_status(status: int, code: str, told: str, after: float | None, *, answered: bool) -> NotSent:
    said = f" ({told[:300]})" if told else ""
    match status:
        case 401 | 403:
            reason = f"{_TOKEN.reason}{said}"
            return NotSent("tell", reason, code=code, concerns="channel", cause="token")
        case 429:
            return NotSent("wait", "WhatsApp asks to send more slowly.", code=code, after=after)
        case _ if status in (408, 425) or status >= 500 or status < 400:
            # A gateway that answers in Meta's place does not know what became of the message behind it.
            reason = f"WhatsApp answered with an error of its own (HTTP {status}); the message is sent again."
            return NotSent("retry", reason, code=code, after=after, unsure=not answered)
        case _:
            return NotSent("give_up", f"WhatsApp did not take the message (HTTP {status}).{said}", code=code)
