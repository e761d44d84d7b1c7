"""Whatever a signed body holds: never a 5xx, never a lost update, never a parser that breaks."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz import webhooks as nearly_right
from tests.fuzz.test_parsers import Dice
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain.channels import Unparsed
from metachat.domain.channels.contract import OtherNumber
from metachat.domain.channels.whatsapp import WhatsApp, parse, splitting
from metachat.foundation.ids import ChannelId, uuid7

CHANNEL = ChannelId(uuid7())

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["385911234567", "wamid.x", "text", "sent", "0", "1764000000", "1e999", "\x00", "-1"]),
)  # fmt: skip
names = st.sampled_from(
    ["id", "from", "type", "text", "body", "timestamp", "image", "caption", "location", "latitude",
     "longitude", "contacts", "phones", "name", "interactive", "button_reply", "reaction", "message_id",
     "context", "errors", "status", "recipient_id", "from_user_id", "user_id", "edit", "revoke",
     "system", "referral", "order",
     "product_items", "identity", "button", "payload", "code", "title", "error_data", "profile", "wa_id"]
)  # fmt: skip
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=5), inner, max_size=5)
    ),
)
kinds = st.sampled_from(
    ["text", "image", "audio", "video", "document", "sticker", "location", "contacts", "interactive",
     "button", "reaction", "edit", "revoke", "system", "order", "unsupported", "other", 7, None]
)  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> Any:
    """A message that is nearly right."""
    kind = draw(kinds)
    base: dict[str, Any] = {
        "from": "385911234567",
        "id": meta.wamid(),
        "timestamp": "1764000000",
        "type": kind,
    }
    if isinstance(kind, str):
        base[kind] = draw(anything)
    base.update(draw(st.dictionaries(names, anything, max_size=3)))
    for name in draw(st.sets(st.sampled_from(["from", "id", "timestamp", "type"]), max_size=1)):
        base.pop(name, None)
    return base


values = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(messages() | anything, max_size=3) | anything,
        "statuses": st.lists(anything, max_size=3),
        "contacts": st.lists(anything, max_size=2) | anything,
        "metadata": anything,
        "errors": anything,
    },
)
fields = st.sampled_from(
    ["messages", "messages", "messages", "account_update", "message_template_status_update", "x"]
)
changes = st.fixed_dictionaries({"field": fields | plain, "value": values | anything}) | anything
webhooks = st.fixed_dictionaries(
    {
        "object": plain,
        "entry": st.lists(
            st.fixed_dictionaries({"id": plain, "changes": st.lists(changes, max_size=3)}), max_size=2
        ),
    }
)


def understood(body: bytes) -> None:
    """Split and parse; only the named outcomes are allowed."""
    for update in splitting.split(body, CHANNEL):
        assert update.payload
        assert 0 < len(update.lane) <= 200
        assert 0 < len(update.key) <= 400
        try:
            parse.parse(update.payload, CHANNEL, meta.NUMBER)
        except (Unparsed, OtherNumber):
            continue


@settings(max_examples=400, deadline=None)
@given(webhook=webhooks)
def test_nearly_right_webhooks_are_split_and_parsed_or_named(webhook: Any) -> None:
    understood(json.dumps(webhook).encode())


@settings(max_examples=300, deadline=None)
@given(
    body=st.binary(min_size=1, max_size=200)
    | st.text(min_size=1, max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_split_and_parsed_or_named(body: bytes) -> None:
    understood(body)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_the_door_and_the_worker_lose_nothing(shop: Shop, seed: int) -> None:
    body = nearly_right.webhook(Dice(seed))
    assert (await shop.send(body)).status_code == 200
    updates = WhatsApp().split(body, shop.channel)
    assert len(updates) == nearly_right.count(body)
    rows = {row["dedupe_key"]: row for row in await shop.inbox()}
    assert {update.key for update in updates} <= rows.keys()
    await shop.work()
    assert all(row["state"] != "new" for row in await shop.inbox())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(webhook=webhooks)
async def test_the_door_and_the_worker_survive_any_signed_webhook(shop: Shop, webhook: Any) -> None:
    body = json.dumps(webhook).encode()
    assert (await shop.send(body)).status_code == 200
    await shop.work()
    rows = await shop.rows("SELECT count(*) FILTER (WHERE state = 'new') AS n, count(*) AS m FROM inbox")
    assert rows[0]["n"] == 0
    assert rows[0]["m"] > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    path=st.text(st.characters(codec="ascii", categories=("L", "N", "P")), max_size=30),
    query=st.text(max_size=50), signature=st.binary(max_size=80), body=st.binary(max_size=100),
)  # fmt: skip
async def test_strangers_get_a_calm_answer(
    shop: Shop, method: str, path: str, query: str, signature: bytes, body: bytes
) -> None:
    headers = [(b"x-hub-signature-256", signature.replace(b"\n", b"").replace(b"\r", b""))]
    for address in (shop.address, f"/hooks/{path.replace('?', '').replace('#', '')}"):
        answer = await shop.client.request(
            method, address, params={"hub.mode": query}, content=body, headers=headers
        )
        assert 400 <= answer.status_code < 500
    assert await shop.inbox() == []
