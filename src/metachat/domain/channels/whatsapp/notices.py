"""What the WhatsApp Cloud API tells beside messages: of the account, its templates, its numbers, people."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, Literal

from metachat.domain.channels.contract import Notice, Unparsed
from metachat.domain.channels.whatsapp.reading import Object, part, parts, text
from metachat.foundation.ids import ChannelId

TEMPLATES = frozenset(
    {
        "message_template_status_update", "message_template_quality_update",
        "message_template_components_update", "template_category_update",
        "template_correct_category_detection",
    }
)  # fmt: skip
ACCOUNT = frozenset(
    {
        "account_update", "account_alerts", "account_review_update", "account_settings_update", "security",
        "phone_number_name_update", "phone_number_quality_update", "business_capability_update",
        "business_status_update", "flows", "partner_solutions", "payment_configuration_update",
        "automatic_events", "tracking_events", "calls", "group_lifecycle_update",
        "group_participants_update", "group_settings_update", "group_status_update",
        # Numbers that the WhatsApp Business app uses as well: what was said before, and its address book.
        "history", "smb_app_state_sync",
    }
)  # fmt: skip
PEOPLE = frozenset({"user_preferences", "user_id_update"})

# How much of a provider's object an event holds: members of an object, items of a list, levels.
_MEMBERS, _ITEMS, _LEVELS, _TEXT = 30, 5, 3, 500


def notices_of(field: str, value: Object, channel: ChannelId) -> list[Notice]:
    """What a change tells; raises Unparsed for a field that is not known here."""
    if field == "history":
        return [Notice(channel, "account", {"field": field, **_history(value)})]
    if field == "smb_app_state_sync":
        count = sum(1 for _ in parts(value, "state_sync"))
        return [Notice(channel, "account", {"field": field, "contacts": count})]
    if field == "user_id_update":
        return [_renamed(item, channel) for item in parts(value, field)]
    if field == "user_preferences":
        return [
            Notice(channel, "person", {"field": field, **bounded(item)}, text(item, "wa_id"))
            for item in parts(value, field)
        ]
    code: Literal["template", "account"] = "template" if field in TEMPLATES else "account"
    if field not in TEMPLATES | ACCOUNT:
        raise Unparsed(f"field {field[:60]!r} is not known here" if field else "a change without a field")
    return [Notice(channel, code, {"field": field, **bounded(value)})]


def bounded(value: Object, levels: int = _LEVELS) -> dict[str, Any]:
    """A provider's object, cut to what an event may hold."""
    kept = islice(value.items(), _MEMBERS)
    read = ((_clean(name)[:60], _bounded(item, levels - 1)) for name, item in kept)
    return {name: item for name, item in read if item is not None}


def _bounded(item: Any, levels: int) -> Any:
    if isinstance(item, str):
        return _clean(item)[:_TEXT]
    # What Postgres reads as a number of JSON may be larger than what other programs do.
    if isinstance(item, bool) or (isinstance(item, int | float) and abs(item) < 1e18):
        return item
    if isinstance(item, int | float):
        return str(item)[:_TEXT]
    if isinstance(item, Mapping):
        return bounded(item, levels) if levels > 0 else None
    if isinstance(item, list):
        return [_bounded(one, levels - 1) for one in item[:_ITEMS]] if levels > 0 else None
    return None


def _clean(text: str) -> str:
    return text.replace("\x00", "")


def _history(value: Object) -> dict[str, Any]:
    # Said before this channel was connected: it is kept in the inbox, and nobody answers it again.
    chunks = list(parts(value, "history"))
    threads = [thread for chunk in chunks for thread in parts(chunk, "threads")]
    counted = {
        "threads": len(threads),
        "messages": sum(1 for thread in threads for _ in parts(thread, "messages"))
        + sum(1 for _ in parts(value, "messages")),
    }
    errors = [bounded(error) for chunk in chunks[:_ITEMS] for error in islice(parts(chunk, "errors"), _ITEMS)]
    progress = bounded(part(chunks[0], "metadata")) if chunks else {}
    return counted | progress | ({"errors": errors[:_ITEMS]} if errors else {})


def _renamed(item: Object, channel: ChannelId) -> Notice:
    id = part(item, "user_id")
    before, after = text(id, "previous")[:300], text(id, "current")[:300]
    return Notice(
        channel, "person", {"field": "user_id_update", **bounded(item)}, text(item, "wa_id")[:300],
        external_id=before, new_external_id=after,
    )  # fmt: skip
