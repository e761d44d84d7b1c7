"""A plain webhook read in a hurry is named exactly as the careful reader names it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hooks import meta

from metachat.domain.channels.whatsapp import lone, splitting
from metachat.foundation.ids import ChannelId, uuid7

CHANNEL = ChannelId(uuid7())
_TEXTS = st.one_of(
    st.sampled_from(["", "38591", "wamid.1", "read", "1764000000", "a\x00b", "lin\u2028e", "š🏕", "x" * 201]),
    st.text(max_size=5), st.integers(), st.none(), st.booleans(), st.floats(allow_nan=False), st.just([]),
)  # fmt: skip
_NAMES = ("id", "from", "from_user_id", "status", "timestamp", "recipient_id", "recipient_user_id", "type")
_ITEMS = st.one_of(st.dictionaries(st.sampled_from(_NAMES), _TEXTS), st.just(7), st.none())
_VALUES = st.dictionaries(
    st.sampled_from(("messages", "statuses", "errors", "contacts", "message_echoes")),
    st.one_of(st.lists(_ITEMS, max_size=2), _TEXTS),
)
_FIELDS = st.sampled_from(["messages", "smb_message_echoes", "account_update", "", 7])
_CHANGES = st.one_of(st.fixed_dictionaries({"field": _FIELDS, "value": st.one_of(_VALUES, _TEXTS)}), _TEXTS)
_ENTRIES = st.one_of(st.fixed_dictionaries({"changes": st.lists(_CHANGES, max_size=2)}), _TEXTS)


@settings(max_examples=400, deadline=None)
@given(st.lists(_ENTRIES, max_size=2))
def test_both_readers_agree(entries: list[Any]) -> None:
    body = json.dumps({"object": "whatsapp_business_account", "entry": entries}).encode()
    hurried = lone.split(body, CHANNEL)
    assert hurried is None or hurried == splitting.split(body, CHANNEL)


@pytest.mark.parametrize(
    "value",
    [
        meta.value(meta.message("š 🏕")),
        meta.value(meta.message(from_user_id="HR.123")),
        meta.value(statuses=[meta.status("wamid.7", "read")]),
    ],
)
def test_the_usual_ones_are_read_in_a_hurry(value: Any) -> None:
    body = meta.webhook(meta.change(value))
    hurried = lone.split(body, CHANNEL)
    assert hurried is not None
    assert hurried == splitting.split(body, CHANNEL)


@pytest.mark.parametrize("ending", [b"", b"}", b",", b"\xff"])
def test_what_is_cut_or_trailed_is_left_to_the_careful_reader(ending: bytes) -> None:
    body = meta.webhook(meta.change(meta.value(meta.message())))
    assert lone.split(body[:-1] + ending, CHANNEL) is None or ending == b"}"
