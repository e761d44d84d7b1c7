"""Several keys in one value, and secrets that open in one place only."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metachat.foundation.crypto import SealBroken
from metachat.foundation.keyring import Key, Keyring
from metachat.foundation.sealed_columns import ACCESS_TOKENS, ANSWERS, MODEL_KEYS, SEALED_COLUMNS
from metachat.foundation.sealing import KeyUnknown, Place, key_id, seal, unseal
from metachat.foundation.settings import Fault, Given, judge

OLD, NEW = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
PLACE = Place(uuid4(), "assistants", "api_key_sealed", "")


def test_a_plain_key_is_a_ring_of_one() -> None:
    ring = Keyring.of(OLD)
    assert ring.to_secret().reveal() == OLD
    assert ring.current.value == OLD.encode()


def test_several_keys_are_one_value_that_settings_accept() -> None:
    ring = Keyring.of(OLD).also(Key.of(NEW))
    text = ring.to_secret().reveal()
    assert Keyring.of(text) == ring
    assert Keyring.of(text).current == Key.of(OLD)
    assert Keyring.of(ring.first(Key.of(NEW).id).to_secret()).current == Key.of(NEW)
    for mode in ("production", "development"):
        assert judge("encryption_key", Given(text, "test"), mode)[1] == []


BROKEN: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[:-1],
    "two spaces": lambda text: text.replace(" ", "  "),
    "a space at the end": lambda text: f"{text} ",
    "another id": lambda text: "0" * 16 + text[16:],
    "a key twice": lambda text: f"{text} {text}",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_ring_that_is_not_whole_is_refused(how: str) -> None:
    text = BROKEN[how](Keyring.of(OLD).also(Key.of(NEW)).to_secret().reveal())
    with pytest.raises(Fault) as refused:
        Keyring.of(text)
    assert OLD not in str(refused.value)
    found = judge("session_secret", Given(text, "test"), "production")[1]
    assert [one.name for one in found] == ["METACHAT_SESSION_SECRET"] * len(found)
    assert found


def test_a_weak_key_hides_in_no_ring() -> None:
    text = Keyring.of(NEW).also(Key.of("change-me-change-me-change-me-change-me")).to_secret().reveal()
    [found] = judge("api_key_pepper", Given(text, "test"), "production")[1]
    assert "placeholder" in found.problem


def test_an_old_key_opens_what_it_sealed_until_it_is_taken_out() -> None:
    sealed = seal(Keyring.of(OLD), b"sk-secret", PLACE)
    both = Keyring.of(OLD).also(Key.of(NEW)).first(Key.of(NEW).id)
    assert unseal(both, sealed, PLACE) == b"sk-secret"
    assert key_id(sealed) == Key.of(OLD).id
    assert key_id(seal(both, b"x", PLACE)) == Key.of(NEW).id
    with pytest.raises(KeyUnknown, match=Key.of(OLD).id):
        unseal(both.without(Key.of(OLD).id), sealed, PLACE)


def test_what_is_moved_does_not_open() -> None:
    ring = Keyring.of(OLD)
    sealed = seal(ring, b"sk-secret", PLACE)
    for elsewhere in (
        replace(PLACE, tenant=uuid4()), replace(PLACE, table="channels"), replace(PLACE, column="other"),
        replace(PLACE, row="1"), replace(PLACE, table="assistant", column="sapi_key_sealed"),
    ):  # fmt: skip
        with pytest.raises(SealBroken):
            unseal(ring, sealed, elsewhere)


@given(st.binary(max_size=80))
def test_no_bytes_but_sealed_ones_open(noise: bytes) -> None:
    ring, sealed = Keyring.of(OLD), seal(Keyring.of(OLD), b"sk-secret", PLACE)
    for altered in (noise, sealed[:9] + noise, sealed + noise + b"x", b"\x02" + sealed[1:]):
        with pytest.raises(SealBroken):
            unseal(ring, altered, PLACE)


def test_every_column_has_places_of_its_own() -> None:
    tenant, rows = uuid4(), ("1", "2")
    places = {column.place(tenant, row) for column in SEALED_COLUMNS for row in rows}
    assert len(places) == len(SEALED_COLUMNS) * len(rows)
    for column in (ANSWERS, MODEL_KEYS, ACCESS_TOKENS):
        assert column.sealed(column.stored(b"\x01\x02")) == b"\x01\x02"
    with pytest.raises(SealBroken):
        ACCESS_TOKENS.sealed("no base64!")
