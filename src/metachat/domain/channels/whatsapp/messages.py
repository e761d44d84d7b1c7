"""A person's message, as the WhatsApp Cloud API writes it."""

from collections.abc import Callable
from typing import Any

from metachat.domain.channels.contract import Arrival, Form, Inbound, Notice, Reaction, Revision, Unparsed
from metachat.domain.channels.whatsapp.reading import Object, flag, moment, number, part, parts, text
from metachat.foundation.ids import ChannelId

# What the platform keeps of one message as text; the update keeps all of it.
_TEXT_LIMIT = 7_900
_SHORT = 500
_LISTED = 20

Content = tuple[Form, str, dict[str, Any]]


def message_of(message: Object, value: Object, channel: ChannelId) -> Arrival:
    """Understand one message; raises Unparsed."""
    person, phone = _sender(message, value), text(message, "from")
    id, kind = text(message, "id"), text(message, "type")
    if kind == "system":
        return _system(message, channel, phone)
    if not id or len(id) > 300:
        raise Unparsed("a message without an id")
    if not person or len(person) > 300:
        raise Unparsed("a message without a sender")
    at = moment(message, "timestamp")
    if kind == "reaction":
        reaction = part(message, "reaction")
        target, emoji = _target(reaction), text(reaction, "emoji")[:40]
        return Reaction(channel, person, target, emoji, at, phone)
    if kind in ("edit", "revoke", "delete"):
        return Revision(channel, person, *_revised(message, kind), at, phone)
    form, said, detail = _READERS.get(kind, _other)(message)
    detail |= _around(message)
    if len(said) > _TEXT_LIMIT:
        said, detail["shortened_from"] = said[:_TEXT_LIMIT].rstrip() + "…", len(said)
    # A transcript has no empty lines: what was sent without words is named by its form.
    return Inbound(
        channel, person, id, said if said.strip() else f"[{form}]", name=_name(message, value),
        provider_at=at, form=form, phone=phone, detail=detail,
    )  # fmt: skip


def _sender(message: Object, value: Object) -> str:
    named = text(message, "from_user_id", "user_id", "from")
    if named:
        return named
    people = list(parts(value, "contacts"))
    return text(people[0], "user_id", "wa_id") if len(people) == 1 else ""


def _name(message: Object, value: Object) -> str:
    ids = {text(message, "from_user_id"), text(message, "from"), _sender(message, value)} - {""}
    for contact in parts(value, "contacts"):
        if {text(contact, "user_id"), text(contact, "wa_id")} & ids:
            profile = part(contact, "profile")
            return text(profile, "name", "username")[:200].strip()
    return ""


def _target(value: Object) -> str:
    target = text(value, "message_id", "original_message_id", "id")
    if not target or len(target) > 300:
        raise Unparsed("refers to no message")
    return target


def _revised(message: Object, kind: str) -> tuple[str, str | None]:
    change = part(message, kind)
    target = _target(change) if change else _target(part(message, "context"))
    if kind != "edit":
        return target, None
    inner = part(change, "message")
    new = text(part(inner, "text"), "body") or text(part(inner, text(inner, "type") or "text"), "caption")
    new = new or text(part(change, "text"), "body")
    if not new.strip():
        raise Unparsed("an edit without a text")
    return target, new[:_TEXT_LIMIT]


def _system(message: Object, channel: ChannelId, phone: str) -> Notice:
    system = part(message, "system") or part(message, "identity")
    code = text(system, "type")[:60]
    new = text(system, "new_wa_id", "wa_id")[:60]
    detail = {"field": "system", "type": code, "text": text(system, "body")[:_SHORT]}
    changed = "number" in code and bool(new)
    return Notice(channel, "person", detail, phone=phone, new_phone=new if changed else "")


def _around(message: Object) -> dict[str, Any]:
    found: dict[str, Any] = {}
    context, referral = part(message, "context"), part(message, "referral")
    if id := text(context, "id", "message_id"):
        found["reply_to"] = id[:300]
    if flag(context, "forwarded") or flag(context, "frequently_forwarded"):
        found["forwarded"] = True
    if referral:
        names = ("source_url", "source_type", "source_id", "headline", "body", "media_type", "ctwa_clid")
        found["referral"] = _chosen(referral, names)
    if identity := part(message, "identity"):
        found["identity"] = _chosen(identity, ("acknowledged", "hash", "created_timestamp"))
    errors = [_chosen(error, ("code", "title", "message")) for error in parts(message, "errors")]
    if errors:
        found["errors"] = errors[:5]
    return found


def _chosen(value: Object, names: tuple[str, ...]) -> dict[str, str]:
    return {name: found[:_SHORT] for name in names if (found := text(value, name))}


def _text(message: Object) -> Content:
    return "text", text(part(message, "text"), "body"), {}


def _media(form: Form) -> Callable[[Object], Content]:
    def read(message: Object) -> Content:
        media = part(message, form)
        if not text(media, "id"):
            raise Unparsed(f"{form} without a media id")
        about: dict[str, Any] = _chosen(media, ("id", "mime_type", "sha256", "filename"))
        about |= {name: True for name in ("voice", "animated") if flag(media, name)}
        return form, text(media, "caption"), {"media": about}

    return read


def _location(message: Object) -> Content:
    place = part(message, "location")
    latitude, longitude = number(place, "latitude"), number(place, "longitude")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        raise Unparsed("a location without a place")
    names = _chosen(place, ("name", "address", "url"))
    said = ", ".join(names[name] for name in ("name", "address") if name in names)
    said = said or f"{latitude:.6f}, {longitude:.6f}"
    return "location", said, {"location": {"latitude": latitude, "longitude": longitude, **names}}


def _contacts(message: Object) -> Content:
    cards: list[dict[str, Any]] = []
    for contact in parts(message, "contacts"):
        phones = [text(phone, "phone", "wa_id")[:60] for phone in parts(contact, "phones")]
        emails = [text(email, "email")[:200] for email in parts(contact, "emails")]
        name = part(contact, "name")
        called = text(name, "formatted_name", "first_name", "last_name")[:200]
        cards.append({"name": called, "phones": phones[:_LISTED], "emails": emails[:_LISTED]})
    if not cards:
        raise Unparsed("contacts without a card")
    said = "\n".join(" ".join([card["name"], *card["phones"]]).strip() for card in cards[:_LISTED])
    return "contacts", said, {"contacts": cards[:_LISTED]}


def _interactive(message: Object) -> Content:
    interactive = part(message, "interactive")
    for kind in ("button_reply", "list_reply"):
        if reply := part(interactive, kind):
            return (
                "choice",
                text(reply, "title", "id"),
                {"choice": {"kind": kind, **_chosen(reply, ("id", "title", "description"))}},
            )
    if reply := part(interactive, "nfm_reply"):
        return (
            "choice",
            text(reply, "body", "name"),
            {"choice": {"kind": "nfm_reply", "response": text(reply, "response_json")[:4_000]}},
        )
    raise Unparsed("an interactive message of an unknown sort")


def _button(message: Object) -> Content:
    button = part(message, "button")
    if not text(button, "text", "payload"):
        raise Unparsed("a button without a text")
    choice = {
        "kind": "button",
        "id": text(button, "payload")[:_SHORT],
        "title": text(button, "text")[:_SHORT],
    }
    return "choice", text(button, "text", "payload"), {"choice": choice}


def _order(message: Object) -> Content:
    order = part(message, "order")
    names = ("product_retailer_id", "quantity", "item_price", "currency")
    items = [_chosen(item, names) for item in parts(order, "product_items")]
    said = text(order, "text") or "\n".join(
        f"{item.get('quantity', '1')} × {item.get('product_retailer_id', '?')}" for item in items[:_LISTED]
    )
    return "order", said, {"order": {"catalog_id": text(order, "catalog_id")[:_SHORT], "items": items[:100]}}


def _other(message: Object) -> Content:
    # Meta's own "unsupported" and whatever comes after this was written: shown as such, never lost.
    kind = text(message, "type")[:60]
    if not kind:
        raise Unparsed("a message without a type")
    return "other", f"[{kind}]", {"type": kind}


_READERS: dict[str, Callable[[Object], Content]] = {
    "text": _text,
    **{form: _media(form) for form in ("image", "audio", "video", "document", "sticker")},
    "location": _location,
    "contacts": _contacts,
    "interactive": _interactive,
    "button": _button,
    "order": _order,
}
