"""A message of ours in the words of the Cloud API: how it is cut, and the JSON of each part. Pure."""

from dataclasses import replace
from typing import Any, Literal

from metachat.domain.channels.outgoing import Enclosure, Outgoing

TEXT_LIMIT = 4_096
CAPTION_LIMIT = 1_024
PARAMETER_LIMIT = 1_024

Media = Literal["image", "audio", "video", "document", "sticker"]

_BUTTONS, _BUTTON_LENGTH = 3, 20
_ROWS, _ROW_LENGTH = 10, 24
_MEGABYTE = 1024 * 1024
# What Meta takes of each kind; anything else travels as a document.
_TYPES: dict[str, Media] = {
    "image/jpeg": "image", "image/png": "image", "image/webp": "sticker",
    "audio/aac": "audio", "audio/amr": "audio", "audio/mpeg": "audio", "audio/mp4": "audio",
    "audio/ogg": "audio", "video/mp4": "video", "video/3gpp": "video",
}  # fmt: skip
SIZES: dict[Media, int] = {
    "image": 5 * _MEGABYTE, "audio": 16 * _MEGABYTE, "video": 16 * _MEGABYTE,
    "document": 100 * _MEGABYTE, "sticker": 500 * 1024,
}  # fmt: skip
_BORDERS = ("\n\n", "\n", ". ", "! ", "? ", "; ", ", ", " ")


def media_of(enclosure: Enclosure) -> Media:
    """As what a file is sent: a picture too large to be shown as one is still a document."""
    kind = _TYPES.get(enclosure.media_type.partition(";")[0].strip().lower(), "document")
    return kind if enclosure.size <= SIZES[kind] else "document"


def parts_of(outgoing: Outgoing) -> tuple[Outgoing, ...]:
    """Cut a message: the file with its caption first, then the text, the choices under its last part."""
    short = outgoing.enclosure is None and len(outgoing.text) <= CAPTION_LIMIT // 2
    if outgoing.template is not None or short:
        return (outgoing,)
    found: list[Outgoing] = []
    text = outgoing.text
    if outgoing.enclosure is not None:
        captioned = media_of(outgoing.enclosure) not in ("audio", "sticker") and _units(text) <= CAPTION_LIMIT
        found.append(replace(outgoing, text=text if captioned else "", choices=()))
        text = "" if captioned else text
    if text or outgoing.choices:
        pieces = split(text, TEXT_LIMIT)
        if _offered(outgoing.choices) and _units(pieces[-1]) > CAPTION_LIMIT:
            pieces[-1:] = split(pieces[-1], CAPTION_LIMIT)
        plain = replace(outgoing, enclosure=None, choices=())
        found += [replace(plain, text=piece) for piece in pieces]
        found[-1] = replace(found[-1], choices=outgoing.choices)
    found[1:] = [replace(part, reply_to=None) for part in found[1:]]
    return tuple(found)


def split(text: str, limit: int) -> list[str]:
    """Cut a text where it reads best, losing nothing but the white space at the cuts; never empty."""
    pieces: list[str] = []
    while _units(text) > limit:
        cut = _cut(text, limit)
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*(piece for piece in pieces if piece), *([text] if text or not pieces else [])]


def body_of(outgoing: Outgoing, media_id: str | None) -> dict[str, Any]:
    """The JSON of one part; media_id is what the upload of its file gave."""
    body: dict[str, Any] = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    body |= _recipient(outgoing)
    if outgoing.reply_to:
        body["context"] = {"message_id": outgoing.reply_to}
    body |= _content(outgoing, media_id)
    body["biz_opaque_callback_data"] = outgoing.reference
    return body


def filled(template: Any, text: str) -> Any:
    """A template's description with the message's text wherever it says {text}."""
    if isinstance(template, dict):
        return {name: filled(value, text) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, text) for value in template]
    if isinstance(template, str) and "{text}" in template:
        # Parameters take no line breaks, tabs or rows of blanks.
        line = " ".join(text.split())
        if _units(line) > PARAMETER_LIMIT:
            line = line[: _cut(line, PARAMETER_LIMIT - 1)].rstrip() + "…"
        return template.replace("{text}", line)
    return template


def _recipient(outgoing: Outgoing) -> dict[str, str]:
    phone = outgoing.phone or outgoing.to
    digits = phone.removeprefix("+")
    if digits.isascii() and digits.isdecimal():
        return {"to": digits}
    # Somebody whose telephone number we are not told is named by their id for this business.
    return {"recipient": outgoing.to}


def _content(outgoing: Outgoing, media_id: str | None) -> dict[str, Any]:
    if outgoing.template is not None:
        return {"type": "template", "template": outgoing.template}
    if outgoing.enclosure is not None:
        kind = media_of(outgoing.enclosure)
        media: dict[str, Any] = {"id": media_id}
        if outgoing.text:
            media["caption"] = outgoing.text
        if kind == "document":
            media["filename"] = outgoing.enclosure.name or "file"
        return {"type": kind, kind: media}
    if _offered(outgoing.choices):
        return {"type": "interactive", "interactive": _interactive(outgoing)}
    return {"type": "text", "text": {"preview_url": False, "body": _listed(outgoing)}}


def _offered(choices: tuple[str, ...]) -> bool:
    """Whether they can be tapped: few enough, short enough, each once."""
    fitting = all(0 < _units(choice) <= _ROW_LENGTH for choice in choices)
    return fitting and 0 < len(choices) <= _ROWS and len(set(choices)) == len(choices)


def _interactive(outgoing: Outgoing) -> dict[str, Any]:
    choices = outgoing.choices
    body = {"text": outgoing.text or "…"}
    if len(choices) <= _BUTTONS and all(_units(choice) <= _BUTTON_LENGTH for choice in choices):
        buttons = [{"type": "reply", "reply": {"id": choice, "title": choice}} for choice in choices]
        return {"type": "button", "body": body, "action": {"buttons": buttons}}
    rows = [{"id": choice, "title": choice} for choice in choices]
    action = {"button": "…", "sections": [{"title": "…", "rows": rows}]}
    return {"type": "list", "body": body, "action": action}


def _listed(outgoing: Outgoing) -> str:
    lines = [f"{number}. {choice}" for number, choice in enumerate(outgoing.choices, start=1)]
    return "\n".join([*([outgoing.text] if outgoing.text else []), *lines])[:TEXT_LIMIT]


def _cut(text: str, limit: int) -> int:
    """The last good border within the limit; deep in a text without any, before the limit."""
    end = _within(text, limit)
    for border in _BORDERS:
        found = text.rfind(border, end // 2, end)
        if found > 0:
            return found + len(border)
    return end


def _within(text: str, limit: int) -> int:
    if text.isascii():
        return limit
    if _units(text) <= limit:
        return len(text)
    taken = 0
    for place, character in enumerate(text):
        taken += 2 if ord(character) > 0xFFFF else 1
        if taken > limit:
            return place
    return len(text)


def _units(text: str) -> int:
    """How long a text is as Meta counts: in units of UTF-16, of which an emoji takes two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
