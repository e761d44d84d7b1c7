"""One webhook of the WhatsApp Cloud API, cut into its updates: every entry, change, message and status."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import msgspec

from metachat.domain.channels.inbox import Update, UpdateKind, hashed_key, lane_of
from metachat.domain.channels.whatsapp.notices import ACCOUNT, PEOPLE, TEMPLATES
from metachat.domain.channels.whatsapp.reading import Object, part, parts, text
from metachat.foundation.ids import ChannelId

UPDATES_LIMIT = 1_000

# What surrounds a message is repeated with each one, so it must be small: a batch must not multiply.
_CONTEXT_LIMIT = 4_096
_ID_LENGTH = 200

# What the business itself sent: a person in the WhatsApp Business app, or an application.
ECHOES = ("smb_message_echoes", "message_echoes")


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: UpdateKind
    cut: Callable[[], Any]  # only a batch needs it
    key: str = ""
    sender: str = ""


def split(body: bytes, channel: ChannelId) -> tuple[Update, ...]:
    """Cut a webhook into updates; what cannot be cut is one update as a whole. Never raises, never empty."""
    try:
        pieces = list(_pieces(msgspec.json.decode(body)))
        if len(pieces) > UPDATES_LIMIT:
            return (_whole(body, channel, "unknown", f"more than {UPDATES_LIMIT:,} updates at once"),)
        # A lone update stays as it came, byte for byte.
        payloads = [body] if len(pieces) == 1 else [msgspec.json.encode(piece.cut()) for piece in pieces]
    except RecursionError:
        return (_whole(body, channel, "malformed", "nested too deeply"),)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        return (_whole(body, channel, "malformed", f"no JSON: {error}"),)
    return tuple(
        _update(piece, payload, channel) for piece, payload in zip(pieces, payloads, strict=True)
    ) or (_whole(body, channel, "unknown", "holds no update"),)


def _whole(body: bytes, channel: ChannelId, kind: UpdateKind, error: str) -> Update:
    return Update(hashed_key(f"whatsapp:{channel}", body), kind, lane_of(channel), body, error[:300])


def _update(piece: _Piece, payload: bytes, channel: ChannelId) -> Update:
    prefix = f"whatsapp:{channel}"
    key = f"{prefix}:{piece.key}" if piece.key else hashed_key(prefix, payload)
    error = "not known here" if piece.kind == "unknown" else None
    return Update(key, piece.kind, lane_of(channel, piece.sender), payload, error)


def _pieces(document: Any) -> Iterator[_Piece]:
    if not isinstance(document, dict) or not isinstance(document.get("entry"), list):
        yield _Piece("unknown", lambda: document)
        return
    outer = _Surroundings(document, ("object",))
    for entry in document["entry"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("changes"), list):
            yield _Piece("unknown", partial(_entry, outer, entry))
            continue
        inner = _Surroundings(entry, ("id", "time"))
        for change in entry["changes"]:
            for piece in _of_change(change):
                yield replace(piece, cut=partial(_within, outer, inner, piece.cut))


def _entry(outer: "_Surroundings", entry: Any) -> dict[str, Any]:
    return {**outer.kept, "entry": [entry]}


def _within(outer: "_Surroundings", inner: "_Surroundings", cut: Callable[[], Any]) -> dict[str, Any]:
    return _entry(outer, {**inner.kept, "changes": [cut()]})


def _of_change(change: Any) -> Iterator[_Piece]:
    field = text(change, "field") if isinstance(change, dict) else ""
    if field in TEMPLATES:
        yield _Piece("template", lambda: change)
    elif field in ACCOUNT | PEOPLE:
        yield _Piece("account", lambda: change)
    elif field in ("messages", *ECHOES) and isinstance(change.get("value"), dict):
        yield from _of_messages(change, field)
    else:
        yield _Piece("unknown", lambda: change)


# Where a change lists its updates, and what they are.
_MESSAGES: tuple[tuple[str, UpdateKind], ...] = (
    ("messages", "message"), ("statuses", "status"), ("errors", "account"),
)  # fmt: skip
_ECHOED: tuple[tuple[str, UpdateKind], ...] = (("message_echoes", "message"),)


def _of_messages(change: dict[str, Any], field: str) -> Iterator[_Piece]:
    value = change["value"]
    around = _Surroundings(value, ("messaging_product", "metadata"))
    people = _People(value)
    found = False
    for name, kind in _ECHOED if field in ECHOES else _MESSAGES:
        items = value.get(name)
        for item in items if isinstance(items, list) else ():
            found = True
            yield _named(name, kind, item, partial(_one, field, around.kept | people.of(item), name, item))
    if not found:
        yield _Piece("unknown", lambda: change)


def _one(field: str, around: dict[str, Any], name: str, item: Any) -> dict[str, Any]:
    return {"field": field, "value": {**around, name: [item]}}


def _named(name: str, kind: UpdateKind, item: Any, cut: Callable[[], Any]) -> _Piece:
    if not isinstance(item, dict) or kind == "account":
        return _Piece(kind, cut)
    id, letter, rest = text(item, "id"), "m", ""
    sender = text(item, "from_user_id", "from")
    if name == "message_echoes":
        # In the lane of the customer it went to, so that it keeps its place between their messages.
        letter, sender = "e", text(item, "to_user_id", "to")
    elif kind == "status":
        letter, rest = "s", f":{text(item, 'status')}:{text(item, 'timestamp')}"
        sender = text(item, "recipient_user_id", "recipient_id")
    usable = id.isprintable() and 0 < len(id) <= _ID_LENGTH and rest.isprintable() and len(rest) < 60
    key = f"{letter}:{id}{rest}" if usable else ""
    return _Piece(kind, cut, key, sender)


class _Surroundings:
    """What is repeated around each update of a batch."""

    def __init__(self, value: dict[str, Any], names: tuple[str, ...]) -> None:
        self._value, self._names = value, names

    @cached_property
    def kept(self) -> dict[str, Any]:
        """The named members, unless they are too large."""
        return {name: _small(self._value[name]) for name in self._names if name in self._value}


class _People:
    """The people a batch names, found by either of their ids."""

    def __init__(self, value: Object) -> None:
        self._value = value

    @cached_property
    def _by_id(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for contact in parts(self._value, "contacts"):
            kept = _small(contact)
            for id in (text(contact, "user_id"), text(contact, "wa_id")):
                if id:
                    found.setdefault(id, kept)
        return found

    def of(self, item: Any) -> dict[str, Any]:
        """The contacts of one message or status, as the member that holds them."""
        if not isinstance(item, dict):
            return {}
        for name in ("from_user_id", "from", "recipient_user_id", "recipient_id"):
            contact = self._by_id.get(text(item, name))
            if contact is not None:
                return {"contacts": [contact]}
        return {}


def _small(value: Any) -> Any:
    """What surrounds an update, unless it is far larger than any provider makes it."""
    return value if len(msgspec.json.encode(value)) <= _CONTEXT_LIMIT else {}


def number_of(value: Object) -> str:
    """The id of the business's number that an update belongs to; "" when it tells none."""
    return text(part(value, "metadata"), "phone_number_id")
