"""What a message of the WhatsApp Cloud API holds, by its type: its form, its words, and the rest as JSON."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from metachat.domain.channels.contract import Form, Unparsed
from metachat.domain.channels.whatsapp.reading import Object, chosen, flag, number, part, parts, text

SHORT = 500
_LISTED = 20
_ITEMS = 100
_ERRORS = 5

Content = tuple[Form, str, dict[str, Any]]

# What an edit or an echo may leave out, and a message may not.
_REFERRAL = (
    "source_url", "source_type", "source_id", "headline", "body", "media_type", "image_url", "video_url",
    "thumbnail_url", "ctwa_clid",
)  # fmt: skip


def content_of(message: Object) -> Content:
    """Read a message's content; raises Unparsed."""
    return _READERS.get(text(message, "type"), _other)(message)


def around(message: Object) -> dict[str, Any]:
    """What accompanies a message, whatever its type: what it answers, the ad it came from, Meta's errors."""
    found: dict[str, Any] = {}
    context, referral = part(message, "context"), part(message, "referral")
    if id := text(context, "id", "message_id"):
        found["reply_to"] = id[:300]
    if flag(context, "forwarded") or flag(context, "frequently_forwarded"):
        found["forwarded"] = True
    if product := chosen(part(context, "referred_product"), ("catalog_id", "product_retailer_id")):
        found["product"] = product
    if referral:
        found["referral"] = chosen(referral, _REFERRAL)
        if welcome := text(part(referral, "welcome_message"), "text"):
            found["referral"]["welcome"] = welcome[:SHORT]
    if identity := part(message, "identity"):
        found["identity"] = chosen(identity, ("acknowledged", "hash", "created_timestamp"))
    if errors := errors_of(message):
        found["errors"] = errors
    if parent := text(message, "from_parent_user_id", "parent_user_id"):
        found["parent_user_id"] = parent[:200]
    return found


def errors_of(value: Object) -> list[dict[str, str]]:
    """The first of Meta's errors about something."""
    return [error_of(error) for error in islice(parts(value, "errors"), _ERRORS)]


def error_of(error: Object) -> dict[str, str]:
    """One of Meta's errors: its code, its title, and what it explains."""
    told = text(part(error, "error_data"), "details") or text(error, "message", "details")
    return {"code": text(error, "code")[:20], "title": text(error, "title")[:200], "detail": told[:SHORT]}


def _text(message: Object) -> Content:
    return "text", text(part(message, "text"), "body"), {}


def _media(form: Form, name: str | None = None) -> Callable[[Object], Content]:
    def read(message: Object) -> Content:
        media = part(message, name or form)
        if not text(media, "id"):
            raise Unparsed(f"{form} without a media id")
        about: dict[str, Any] = chosen(media, ("id", "mime_type", "sha256", "filename"))
        about |= {sign: True for sign in ("voice", "animated") if flag(media, sign)}
        if name == "voice":
            about["voice"] = True
        return form, text(media, "caption"), {"media": about}

    return read


def _location(message: Object) -> Content:
    place = part(message, "location")
    latitude, longitude = number(place, "latitude"), number(place, "longitude")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        raise Unparsed("a location without a place")
    names = chosen(place, ("name", "address", "url"))
    said = ", ".join(names[name] for name in ("name", "address") if name in names)
    said = said or f"{latitude:.6f}, {longitude:.6f}"
    return "location", said, {"location": {"latitude": latitude, "longitude": longitude, **names}}


def _contacts(message: Object) -> Content:
    cards: list[dict[str, Any]] = []
    for contact in islice(parts(message, "contacts"), _LISTED):
        name = part(contact, "name")
        cards.append(
            {
                "name": text(name, "formatted_name", "first_name", "last_name")[:200],
                "phones": [text(phone, "phone", "wa_id")[:60] for phone in parts(contact, "phones")][
                    :_LISTED
                ],
                "emails": [text(one, "email")[:200] for one in islice(parts(contact, "emails"), _LISTED)],
                "company": text(part(contact, "org"), "company")[:200],
            }
        )
    if not cards:
        raise Unparsed("contacts without a card")
    said = "\n".join(" ".join([card["name"], *card["phones"]]).strip() for card in cards)
    return "contacts", said, {"contacts": cards}


def _interactive(message: Object) -> Content:
    interactive = part(message, "interactive")
    for kind in ("button_reply", "list_reply"):
        if reply := part(interactive, kind):
            picked = {"kind": kind, **chosen(reply, ("id", "title", "description"))}
            return "choice", text(reply, "title", "id"), {"choice": picked}
    if reply := part(interactive, "nfm_reply"):
        filled = {"kind": "nfm_reply", "name": text(reply, "name")[:SHORT]}
        filled["response"] = text(reply, "response_json")[:4_000]
        return "choice", text(reply, "body", "name"), {"choice": filled}
    if reply := part(interactive, "call_permission_reply"):
        answer = text(reply, "response")[:SHORT]
        return "other", f"[calls: {answer}]", {"type": "call_permission_reply", "wordless": True}
    raise Unparsed("an interactive message of an unknown sort")


def _button(message: Object) -> Content:
    button = part(message, "button")
    said = text(button, "text", "payload")
    if not said:
        raise Unparsed("a button without a text")
    names = {"id": text(button, "payload")[:SHORT], "title": text(button, "text")[:SHORT]}
    return "choice", said, {"choice": {"kind": "button", **names}}


def _order(message: Object) -> Content:
    order = part(message, "order")
    names = ("product_retailer_id", "quantity", "item_price", "currency")
    items = [chosen(item, names) for item in islice(parts(order, "product_items"), _ITEMS)]
    said = text(order, "text") or "\n".join(
        f"{item.get('quantity', '1')} × {item.get('product_retailer_id', '?')}" for item in items[:_LISTED]
    )
    about = {"catalog_id": text(order, "catalog_id")[:SHORT], "items": items}
    return "order", said, {"order": about}


def _other(message: Object) -> Content:
    # Meta's own "unsupported" and whatever comes after this was written: shown as such, never lost.
    kind = text(message, "type")[:60]
    if not kind:
        raise Unparsed("a message without a type")
    detail = {"type": kind}
    if inner := text(part(message, kind), "type"):
        detail["subtype"] = inner[:60]
    return "other", f"[{kind}]", detail


_READERS: Mapping[str, Callable[[Object], Content]] = {
    "text": _text,
    "image": _media("image"),
    "audio": _media("audio"),
    "voice": _media("audio", "voice"),
    "video": _media("video"),
    "document": _media("document"),
    "sticker": _media("sticker"),
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
