"""A message as the WhatsApp Cloud API writes it: of a customer, or of the business itself (an echo)."""

from dataclasses import dataclass
from typing import Any

from metachat.domain.channels.contract import (
    Arrival,
    Echo,
    Form,
    Inbound,
    Notice,
    Reaction,
    Revision,
    Unparsed,
)
from metachat.domain.channels.whatsapp.content import SHORT, around, content_of
from metachat.domain.channels.whatsapp.reading import Object, moment, part, parts, text
from metachat.foundation.ids import ChannelId

# What the platform keeps of one message as text; the update keeps all of it.
_TEXT_LIMIT = 7_900
_ID_LENGTH = 300

# Types by which Meta tells something about a person rather than something that the person said.
_TELLS = ("system", "request_welcome")


def message_of(message: Object, value: Object, channel: ChannelId) -> Arrival:
    """Understand one message of a customer; raises Unparsed."""
    person, phone = _of_a_length(_sender(message, value), text(message, "from"))
    if text(message, "type") in _TELLS:
        return _told(message, channel, person)
    if text(message, "group_id"):
        # Answering there would speak to everybody in it, and answering elsewhere to nobody who asked.
        raise Unparsed("a message in a group; groups are not served")
    id = _id(message, person)
    if change := _change(message, channel, person, phone):
        return change
    said = _said(message)
    return Inbound(
        channel, person, id, said.text, name=_name(message, value), provider_at=moment(message, "timestamp"),
        form=said.form, phone=phone, detail=said.detail,
    )  # fmt: skip


def echo_of(message: Object, channel: ChannelId) -> Arrival:
    """Understand one message that the business sent; raises Unparsed."""
    phone = text(message, "to", "recipient_id")
    person, phone = _of_a_length(text(message, "to_user_id", "recipient_user_id") or phone, phone)
    id = _id(message, person)
    if text(message, "type") == "reaction":
        raise Unparsed("a reaction of the business itself")
    if change := _change(message, channel, person, phone):
        assert isinstance(change, Revision)
        return Revision(channel, person, change.target, change.text, change.at, phone, by="business")
    said = _said(message)
    return Echo(
        channel, person, id, said.text, provider_at=moment(message, "timestamp"), form=said.form, phone=phone,
        detail=said.detail, message=text(message, "biz_opaque_callback_data")[:SHORT],
        app=text(message, "app_id")[:60],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Said:
    """What is shown of a message, and what is kept beside it."""

    form: Form
    text: str
    detail: dict[str, Any]


def _said(message: Object) -> _Said:
    form, said, detail = content_of(message)
    detail = {**detail, **around(message)}
    if len(said) > _TEXT_LIMIT:
        said, detail["shortened_from"] = said[:_TEXT_LIMIT].rstrip() + "…", len(said)
    if form == "other" or not said.strip():
        detail["wordless"] = True
    # A transcript has no empty lines: what was sent without words is named by its form.
    return _Said(form, said if said.strip() else f"[{form}]", detail)


def _of_a_length(person: str, phone: str) -> tuple[str, str]:
    # Cut short, one person's name could become another's.
    if max(len(person), len(phone)) > _ID_LENGTH:
        raise Unparsed("a person whose name does not end")
    return person, phone


def _id(message: Object, person: str) -> str:
    id = text(message, "id")
    if not id or len(id) > _ID_LENGTH:
        raise Unparsed("a message without an id")
    if not person:
        raise Unparsed("a message without a person")
    return id


def _sender(message: Object, value: Object) -> str:
    named = text(message, "from_user_id", "user_id", "from", "from_parent_user_id")
    if named:
        return named
    people = list(parts(value, "contacts"))
    return text(people[0], "user_id", "wa_id", "parent_user_id") if len(people) == 1 else ""


def _name(message: Object, value: Object) -> str:
    ids = {text(message, "from_user_id"), text(message, "from"), _sender(message, value)} - {""}
    for contact in parts(value, "contacts"):
        if {text(contact, "user_id"), text(contact, "wa_id")} & ids:
            profile = part(contact, "profile")
            return text(profile, "name", "username")[:200].strip()
    return ""


def _change(message: Object, channel: ChannelId, person: str, phone: str) -> Reaction | Revision | None:
    kind, at = text(message, "type"), moment(message, "timestamp")
    if kind == "reaction":
        reaction = part(message, "reaction")
        return Reaction(channel, person, _target(reaction), text(reaction, "emoji")[:40], at, phone)
    if kind in ("edit", "revoke", "delete"):
        return Revision(channel, person, *_revised(message, kind), at, phone)
    return None


def _target(value: Object) -> str:
    target = text(value, "message_id", "original_message_id", "id")
    if not target or len(target) > _ID_LENGTH:
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


def _told(message: Object, channel: ChannelId, person: str) -> Notice:
    kind = text(message, "type")
    system = part(message, "system") or part(message, "identity")
    code = text(system, "type")[:60] or kind
    detail = {"field": kind, "type": code, "text": text(system, "body")[:SHORT]}
    if hash := text(system, "identity", "hash"):
        detail["hash"] = hash[:200]
    phone, new_phone = text(message, "from"), text(system, "new_wa_id", "wa_id")[:60]
    before, _ = _of_a_length(text(system, "previous_user_id") or (person if person != phone else ""), phone)
    after = text(system, "user_id", "parent_user_id")[:_ID_LENGTH]
    return Notice(
        channel, "person", detail, phone=phone,
        new_phone=new_phone if "number" in code and new_phone != phone else "",
        external_id=before, new_external_id=after if after != before else "",
    )  # fmt: skip
