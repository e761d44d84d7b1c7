"""Every type and field of the Cloud API is understood, or kept with a reason."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop
from tests.hooks.test_arrivals import told

from metachat.domain.channels import Arrival, Echo, Inbound, Notice, Progress, Reaction, Revision, Unparsed
from metachat.domain.channels.whatsapp import parse, splitting
from metachat.foundation.ids import ChannelId, uuid7

CHANNEL = ChannelId(uuid7())
AT = datetime.fromtimestamp(1764000000, UTC)


def understood(change: dict[str, Any]) -> list[Arrival]:
    """What a webhook of one change says."""
    return [
        arrival
        for update in splitting.split(meta.webhook(change), CHANNEL)
        for arrival in parse.parse(update.payload, CHANNEL, meta.NUMBER)
    ]


def said(**message: Any) -> Inbound:
    """What one message says."""
    (arrival,) = understood(told(meta.message(**message)))
    assert isinstance(arrival, Inbound)
    return arrival


def noticed(field: str, value: Any) -> Notice:
    """What a change of another field says."""
    (arrival,) = understood(meta.change(value, field))
    assert isinstance(arrival, Notice)
    return arrival


@pytest.mark.parametrize(
    ("message", "form", "text", "detail"),
    [
        ({"type": "voice", "voice": {"id": "1"}}, "audio", "[audio]",
         {"media": {"id": "1", "voice": True}, "wordless": True}),
        ({"type": "sticker", "sticker": {"id": "1", "animated": True}}, "sticker", "[sticker]",
         {"media": {"id": "1", "animated": True}, "wordless": True}),
        ({"type": "interactive", "interactive": {"type": "nfm_reply", "nfm_reply": {
            "name": "flow", "body": "Sent", "response_json": '{"a":1}'}}}, "choice", "Sent",
         {"choice": {"kind": "nfm_reply", "name": "flow", "response": '{"a":1}'}}),
        ({"type": "interactive", "interactive": {"type": "call_permission_reply",
          "call_permission_reply": {"response": "accept"}}}, "other", "[calls: accept]",
         {"type": "call_permission_reply", "wordless": True}),
        ({"type": "contacts", "contacts": [
            {"org": {"company": "Acme"}, "emails": [{"email": "a@b.example"}]}]}, "contacts", "[contacts]",
         {"contacts": [{"name": "", "phones": [], "emails": ["a@b.example"], "company": "Acme"}],
          "wordless": True}),
        ({"type": "unsupported", "unsupported": {"type": "poll_creation"}, "errors": [
            {"code": 131051, "title": "Message type unknown", "error_data": {"details": "Not supported."}}]},
         "other", "[unsupported]",
         {"type": "unsupported", "subtype": "poll_creation", "wordless": True,
          "errors": [{"code": "131051", "title": "Message type unknown", "detail": "Not supported."}]}),
        ({"context": {"referred_product": {"catalog_id": "c", "product_retailer_id": "tent"},
                      "id": "wamid.a", "frequently_forwarded": True}}, "text", "Where is my tent?",
         {"reply_to": "wamid.a", "forwarded": True,
          "product": {"catalog_id": "c", "product_retailer_id": "tent"}}),
        ({"referral": {"source_type": "ad", "source_id": "1", "ctwa_clid": "x", "image_url": "https://i",
                       "welcome_message": {"text": "Hi"}}}, "text", "Where is my tent?",
         {"referral": {"source_type": "ad", "source_id": "1", "ctwa_clid": "x", "image_url": "https://i",
                       "welcome": "Hi"}}),
        ({"identity": {"acknowledged": "true", "hash": "h"}, "from_parent_user_id": "P.1"}, "text",
         "Where is my tent?", {"identity": {"acknowledged": "true", "hash": "h"}, "parent_user_id": "P.1"}),
    ],
)  # fmt: skip
def test_messages(message: dict[str, Any], form: str, text: str, detail: dict[str, Any]) -> None:
    inbound = said(**message)
    assert (inbound.form, inbound.text, inbound.detail) == (form, text, detail)
    assert inbound.provider_at == AT


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ({"from_user_id": "HR.1", "from": "385"}, ("HR.1", "385")),
        ({"from_user_id": "HR.1"}, ("HR.1", "")),
        ({"from_parent_user_id": "P.1"}, ("P.1", "")),
        ({"from": 385911234567}, ("385911234567", "385911234567")),
        ({"user_id": "HR.2"}, ("HR.2", "")),
    ],
)
def test_somebody_is_known_by_what_is_told(names: dict[str, Any], known: tuple[str, str]) -> None:
    item = meta.message()
    del item["from"]
    value = {**meta.value(contacts=[]), "messages": [{**item, **names}]}
    (arrival,) = understood(meta.change(value))
    assert isinstance(arrival, Inbound)
    assert (arrival.external_id, arrival.phone) == known


def test_who_is_only_named_beside_the_message_is_found() -> None:
    item = meta.message()
    del item["from"]
    contact = {"user_id": "HR.9", "profile": {"username": "ana.k"}}
    (arrival,) = understood(meta.change(meta.value({**item, "from_user_id": "HR.9"}, contacts=[contact])))
    assert isinstance(arrival, Inbound)
    assert arrival.name == "ana.k"


@pytest.mark.parametrize(
    ("step", "more", "detail"),
    [
        ("sent", {"pricing": {"pricing_model": "PMP", "category": "service", "billable": False}},
         {"pricing": {"pricing_model": "PMP", "category": "service", "billable": False}}),
        ("delivered", {"conversation": {"id": "c"}}, {}),
        ("read", {"recipient_type": "group"}, {}),
        ("played", {}, {}),
    ],
)  # fmt: skip
def test_statuses(step: str, more: dict[str, Any], detail: dict[str, Any]) -> None:
    status = meta.status("wamid.s", step, biz_opaque_callback_data="ours", **more)
    (arrival,) = understood(told(statuses=[status]))
    assert arrival == Progress(CHANNEL, "wamid.s", step, AT, detail, "ours")  # type: ignore[arg-type]


def test_what_is_deleted_or_warned_of_is_no_step() -> None:
    deleted, warned = (
        meta.status("wamid.s", "deleted"),
        meta.status("wamid.s", "warning", errors=[{"code": 1}]),
    )
    first, second = understood(told(statuses=[deleted, warned]))
    assert first == Revision(CHANNEL, "385911234567", "wamid.s", None, AT, "385911234567", by="business")
    assert isinstance(second, Notice)
    assert second.detail["errors"][0]["code"] == "1"


@pytest.mark.parametrize("field", ["smb_message_echoes", "message_echoes"])
def test_echoes(field: str) -> None:
    item = {"from": "38515550000", "to": "385", "to_user_id": "HR.1", "id": "wamid.e",
            "timestamp": 1764000000, "type": "text", "text": {"body": "Hi"}, "app_id": 7,
            "biz_opaque_callback_data": "x"}  # fmt: skip
    update, other = splitting.split(
        meta.webhook(meta.change({"message_echoes": [item, {**item, "id": "wamid.f"}]}, field)), CHANNEL
    )
    assert update.key.endswith(":e:wamid.e")
    assert update.lane == other.lane == f"inbox:{CHANNEL}:HR.1"  # the customer's own
    (arrival,) = parse.parse(update.payload, CHANNEL, meta.NUMBER)
    assert arrival == Echo(CHANNEL, "HR.1", "wamid.e", "Hi", AT, phone="385", message="x", app="7")


@pytest.mark.parametrize(
    ("field", "value", "code", "told_of"),
    [
        ("message_template_status_update", {"event": "REJECTED", "reason": "SCAM"}, "template", "reason"),
        ("message_template_quality_update", {"new_quality_score": "RED"}, "template", "new_quality_score"),
        ("template_category_update", {"new_category": "MARKETING"}, "template", "new_category"),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, "account",
         "ban_info"),
        ("account_review_update", {"decision": "APPROVED"}, "account", "decision"),
        ("phone_number_quality_update", {"event": "DOWNGRADE", "current_limit": "TIER_50"}, "account",
         "current_limit"),
        ("phone_number_name_update", {"decision": "REJECTED"}, "account", "decision"),
        ("business_capability_update", {"max_phone_numbers_per_waba": 2}, "account",
         "max_phone_numbers_per_waba"),
        ("security", {"event": "PIN_CHANGED", "requester": "1"}, "account", "requester"),
        ("group_lifecycle_update", {"groups": [{"group_id": "g"}]}, "account", "groups"),
        ("smb_app_state_sync", {"state_sync": [{"type": "contact"}] * 2}, "account", "contacts"),
        ("user_preferences", {"user_preferences": [{"wa_id": "385", "value": "stop"}]}, "person", "value"),
        ("history", {"history": [{"metadata": {"phase": 0, "progress": 55}, "threads": [
            {"id": "385", "messages": [{"id": "1"}, {"id": "2"}]}]}]}, "account", "progress"),
    ],
)  # fmt: skip
def test_what_is_told_beside_messages(field: str, value: Any, code: str, told_of: str) -> None:
    notice = noticed(field, value)
    assert (notice.code, notice.detail["field"]) == (code, field)
    assert told_of in notice.detail


def test_history_is_counted_and_not_answered() -> None:
    threads = [{"id": str(n), "messages": [{"id": f"{n}.{m}"} for m in range(20)]} for n in range(30)]
    notice = noticed("history", {"history": [{"metadata": {"phase": 1}, "threads": threads}]})
    assert (notice.detail["threads"], notice.detail["messages"]) == (30, 600)
    declined = noticed("history", {"history": [{"errors": [{"code": 2593109, "title": "declined"}]}]})
    assert declined.detail["errors"][0]["code"] == 2593109


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"group_id": "g1"}, "groups are not served"),
        ({"type": "image", "image": {"caption": "x"}}, "without a media id"),
        ({"type": "reaction", "reaction": {"emoji": "x"}}, "refers to no message"),
        ({"type": "edit", "edit": {"original_message_id": "a"}}, "without a text"),
        ({"type": "interactive", "interactive": {"type": "new"}}, "unknown sort"),
        ({"id": "x" * 301}, "without an id"),
        ({"from": "1" * 301}, "does not end"),
        ({"from_user_id": "x" * 301}, "does not end"),
        ({"type": "system", "user_id": "x" * 301, "system": {"body": "changed"}}, "does not end"),
        ({"type": "system", "system": {"previous_user_id": "x" * 301}}, "does not end"),
    ],
)
def test_what_is_not_understood_has_a_reason(message: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unparsed, match=reason):
        understood(told(meta.message(**message)))


def test_a_deleted_message_of_nobody_nameable_is_not_understood() -> None:
    deleted = meta.status("wamid.a", "deleted", recipient_id="1" * 301)
    with pytest.raises(Unparsed, match="without a person"):
        understood(told(statuses=[deleted]))


def test_a_reaction_may_be_taken_back() -> None:
    for reaction in ({"message_id": "wamid.a", "emoji": ""}, {"message_id": "wamid.a"}):
        (arrival,) = understood(told(meta.message(type="reaction", reaction=reaction)))
        assert isinstance(arrival, Reaction)
        assert arrival.emoji == ""


async def people(shop: Shop) -> list[tuple[str, str | None]]:
    """Who is known, under which id and telephone number."""
    rows = await shop.rows("SELECT external_id, phone FROM contacts ORDER BY created_at")
    return [(row["external_id"], row["phone"]) for row in rows]


async def test_a_changed_id_stays_the_same_person(shop: Shop) -> None:
    await shop.deliver(told(meta.message("one", from_user_id="HR.1")))
    await shop.work()
    system = {
        "type": "user_changed_user_id",
        "previous_user_id": "HR.1",
        "user_id": "HR.2",
        "body": "changed",
    }
    changed = meta.message(type="system", system=system)
    del changed["from"]
    await shop.deliver(meta.change(meta.value(changed, contacts=[])))
    await shop.work()
    assert await people(shop) == [("HR.2", "385911234567")]
    update = {"wa_id": "385911234567", "user_id": {"previous": "HR.2", "current": "HR.3"}}
    await shop.deliver(meta.change({"user_id_update": [update]}, "user_id_update"))
    await shop.work()
    moved = {"type": "user_changed_number", "wa_id": "385990000000", "user_id": "HR.4"}
    await shop.deliver(told(meta.message(type="system", system=moved, from_user_id="HR.3")))
    await shop.work()
    assert await people(shop) == [("HR.4", "385990000000")]
    await shop.deliver(told(meta.message("two", sender="385990000000")))
    await shop.work()
    assert await people(shop) == [("HR.4", "385990000000")]
    assert [row["text"] for row in await shop.messages()] == ["one", "two"]


async def test_whoever_takes_somebody_elses_id_does_not_become_them(shop: Shop) -> None:
    await shop.deliver(told(meta.message("one", from_user_id="HR.1")))
    await shop.deliver(told(meta.message("two", sender="385922222222", from_user_id="HR.2")))
    await shop.work()
    system = {"type": "user_changed_user_id", "user_id": "HR.2"}
    await shop.deliver(told(meta.message(type="system", system=system, from_user_id="HR.1")))
    await shop.work()
    assert sorted(await people(shop)) == [("HR.1", "385911234567"), ("HR.2", "385922222222")]


async def test_a_status_deleted_marks_our_message_and_keeps_its_words(shop: Shop) -> None:
    echo = {"from": "1", "to": "385911234567", "id": meta.wamid(), "timestamp": "1764000000", "type": "text",
            "text": {"body": "Ours"}}  # fmt: skip
    await shop.deliver(meta.change(meta.value(message_echoes=[echo], contacts=[]), "smb_message_echoes"))
    await shop.deliver(told(statuses=[meta.status(echo["id"], "deleted")]))
    await shop.work()
    (message,) = await shop.messages()
    assert message["text"] == "Ours"
    assert json.loads(message["detail"])["deleted"]
