"""Webhooks that are nearly right, and what must hold of anything that reads them."""

import json
import sys
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import msgspec

from metachat.domain.channels import Arrival, OtherNumber, Unparsed
from metachat.domain.channels.inbox import Update
from metachat.domain.channels.whatsapp import lone, parse, splitting
from metachat.domain.conversations.attachments.actions import clean_name
from metachat.domain.conversations.attachments.digests import digest
from metachat.domain.conversations.attachments.sniffing import (
    HEAD,
    family_of,
    objection,
    plain_type,
    recognised,
)
from metachat.foundation.ids import ChannelId, uuid7

CHANNEL = ChannelId(uuid7())
NUMBER = "106540352242922"
T = TypeVar("T")

KINDS = [
    "text", "image", "audio", "voice", "video", "document", "sticker", "location", "contacts", "interactive",
    "button", "reaction", "edit", "revoke", "delete", "system", "order", "unsupported", "request_welcome",
    "ephemeral", "hologram",
]  # fmt: skip
FIELDS = [
    "messages", "messages", "messages", "smb_message_echoes", "message_echoes", "history",
    "smb_app_state_sync", "user_preferences", "user_id_update", "account_update", "account_review_update",
    "security", "calls",
    "phone_number_quality_update", "phone_number_name_update", "business_capability_update",
    "message_template_status_update", "template_category_update", "group_lifecycle_update", "something_new",
]  # fmt: skip
LISTS = ["messages", "statuses", "errors", "message_echoes", "history", "state_sync", "user_preferences",
         "user_id_update", "contacts"]  # fmt: skip
NAMES = [
    "id", "from", "to", "type", "text", "body", "timestamp", "caption", "latitude", "longitude", "contacts",
    "phones", "name", "formatted_name", "button_reply", "list_reply", "nfm_reply", "title", "payload",
    "message_id", "emoji", "context", "referred_product", "referral", "errors", "error_data", "details",
    "code", "status", "recipient_id", "recipient_user_id", "pricing", "billable", "biz_opaque_callback_data",
    "from_user_id", "to_user_id", "user_id", "parent_user_id", "wa_id", "previous", "current", "group_id",
    "original_message_id", "message", "system", "identity", "hash", "product_items", "quantity", "profile",
    "username", "metadata", "phone_number_id", "threads", "voice", "mime_type", "sha256", "filename",
    "app_id", *KINDS,
]  # fmt: skip
TEXTS = [
    "", " ", "\x00", "a\x00b", "🏕️👨‍👩‍👧‍👦", "مرحبا \u202e\u2066", "e" + "\u0301" * 400, "\ufeff\u200b",
    "x" * 65_536, "\U0010ffff", "385911234567", "wamid.HBgNMzg1", "1764000000", "-1", "1e999", "0x10", "NaN",
    "true", NUMBER, "' OR 1=1 --", "<script>", "%s%n", "../../etc/passwd", "\r\nX: y",
]  # fmt: skip


class Choices(Protocol):
    """Whatever decides: a fuzzer's bytes, or a test's dice."""

    def pick(self, items: list[T]) -> T:
        """One of some."""
        ...

    def number(self, low: int, high: int) -> int:
        """A number between two."""
        ...


def anything(choices: Choices, levels: int = 4) -> Any:
    """Any JSON value."""
    kind = choices.number(0, 9 if levels else 5)
    if kind <= 2:
        return choices.pick(TEXTS)
    if kind <= 4:
        return choices.pick([0, 1, -1, 2**63, 10**300, 1.5, -0.0, 1764000000, 385911234567])
    if kind == 5:
        return choices.pick([None, True, False])
    if kind <= 7:
        return [anything(choices, levels - 1) for _ in range(choices.number(0, 3))]
    return {choices.pick(NAMES): anything(choices, levels - 1) for _ in range(choices.number(0, 5))}


def item(choices: Choices) -> Any:
    """A message, a status or an error that is nearly right."""
    if choices.number(0, 9) == 0:
        return anything(choices)
    kind = choices.pick(KINDS)
    made: dict[str, Any] = {
        "from": "385911234567", "to": "385911234567", "id": f"wamid.{choices.number(0, 10**6)}",
        "timestamp": "1764000000", "type": kind, kind: anything(choices),
        "status": choices.pick(["sent", "delivered", "read", "played", "failed", "deleted", "warning", "x"]),
    }  # fmt: skip
    for _ in range(choices.number(0, 4)):
        made[choices.pick(NAMES)] = anything(choices)
    if choices.number(0, 3) == 0:
        made.pop(choices.pick(["from", "to", "id", "timestamp", "type", "status"]), None)
    return made


def webhook(choices: Choices) -> bytes:
    """A body that is nearly right."""
    changes: list[Any] = []
    for _ in range(choices.number(0, 3)):
        value = {choices.pick(LISTS): [item(choices) for _ in range(choices.number(0, 4))]
                 for _ in range(choices.number(0, 3))}  # fmt: skip
        if choices.number(0, 1):
            value["metadata"] = {"phone_number_id": choices.pick([NUMBER, "1", ""])}  # type: ignore[assignment]
        changes.append(
            {"field": choices.pick(FIELDS), "value": choices.pick([value, value, anything(choices)])}
        )
    entry = {"id": "1", "changes": changes}
    document = {
        "object": "whatsapp_business_account",
        "entry": [entry, *([anything(choices)] * choices.number(0, 1))],
    }
    return json.dumps(document).encode()


def count(body: bytes) -> int:
    """How many updates a body holds, counted in the plainest way; 1 for what cannot be read."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return 1
    if not isinstance(document, dict) or not isinstance(document.get("entry"), list):
        return 1
    found = 0
    for entry in document["entry"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("changes"), list):
            found += 1
            continue
        found += sum(map(_of_change, entry["changes"]))
    return found or 1


def _of_change(change: Any) -> int:
    if not isinstance(change, dict) or not isinstance(change.get("value"), dict):
        return 1
    lists = {"messages": ("messages", "statuses", "errors")}.get(change.get("field"), ())  # type: ignore[call-overload]
    if change.get("field") in ("smb_message_echoes", "message_echoes"):
        lists = ("message_echoes",)
    values = [change["value"].get(name) for name in lists]
    return sum(len(value) for value in values if isinstance(value, list)) or 1


def understood(body: bytes) -> list[Update]:
    """Split and parse; nothing is lost, only the named outcomes are allowed, and what is told can be kept."""
    updates = list(splitting.split(body, CHANNEL))
    assert updates, "never empty"
    # The quick way gives the same, but for what it leaves unread: the worker sees that, and keeps it as such.
    quick = lone.split(body, CHANNEL)
    assert quick in (None, tuple(updates)) or updates[0].kind == "malformed"
    for update in updates:
        assert update.payload or not body
        assert 0 < len(update.lane) <= 200, update.lane
        assert 0 < len(update.key) <= 400, update.key
        try:
            arrivals = parse.parse(update.payload, CHANNEL, NUMBER)
        except (Unparsed, OtherNumber):
            continue
        assert arrivals
        for arrival in arrivals:
            _can_be_kept(arrival)
    return updates


def _can_be_kept(arrival: Arrival) -> None:
    for name in ("external_id", "provider_id", "target", "text", "name", "phone", "emoji", "message", "app"):
        value = getattr(arrival, name, None)
        assert value is None or (isinstance(value, str) and "\x00" not in value), name
    for name in ("external_id", "new_external_id", "phone", "new_phone"):
        assert len(getattr(arrival, name, "")) <= 300, name
    assert len(getattr(arrival, "text", None) or "") <= 8_000
    detail = msgspec.json.encode(getattr(arrival, "detail", {}))
    assert b"\\u0000" not in detail
    assert len(detail) <= 200_000, "what is kept of one update is bounded"


def judged(data: bytes) -> None:
    """Tell what a file is, whatever it is called."""
    head, name = data[:HEAD], data[-40:].decode("utf-8", "replace")
    family_of(head)
    form, media_type = recognised(clean_name(name), head)
    objection(form, media_type, head)
    for told in (media_type, name, "image/png", "text/plain", "application/pdf"):
        objection("image", told, head)
        objection("document", told, head)
        assert "\n" not in plain_type(told)
    found = digest(name)
    assert found is None or len(found) == 64


def steps(work: Callable[[], Any]) -> int:
    """How many calls of functions a piece of work takes, whatever the clock says."""
    counted = 0

    def tally(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        work()
    finally:
        sys.setprofile(before)
    return counted
