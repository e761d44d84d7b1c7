"""One contract, every store: what is put in comes out, what is there is never overwritten unasked."""

from datetime import UTC, datetime, timedelta

import pytest

from metachat.foundation.settings import Secret
from metachat.operations.secrets import (
    SecretExists,
    SecretMissing,
    Store,
    UnfitName,
    UnfitValue,
)

VALUE = Secret("s3cret-with-$igns,'quotes\"&=#%-and-ümlaut-0123456789")


def test_a_secret_is_added_read_listed_and_deleted(store: Store) -> None:
    store.add("session_secret", VALUE)
    store.add("api_key_pepper", Secret("p" * 43))
    assert store.get("session_secret") == VALUE
    assert store.names() == ["api_key_pepper", "session_secret"]
    store.delete("session_secret")
    assert store.names() == ["api_key_pepper"]
    with pytest.raises(SecretMissing, match="session_secret"):
        store.get("session_secret")


def test_adding_never_overwrites_and_putting_does(store: Store) -> None:
    store.add("session_secret", VALUE)
    with pytest.raises(SecretExists):
        store.add("session_secret", Secret("another" * 8))
    assert store.get("session_secret") == VALUE
    store.put("session_secret", Secret("another" * 8))
    assert store.get("session_secret") == Secret("another" * 8)


def test_an_empty_store_has_no_names_and_misses_what_is_asked(store: Store) -> None:
    if not store.address.startswith("file:"):  # a file that was never written does not exist
        assert store.names() == []
        with pytest.raises(SecretMissing):
            store.delete("session_secret")
        with pytest.raises(SecretMissing):
            store.describe("session_secret")


def test_what_was_deleted_can_be_made_anew(store: Store) -> None:
    store.add("session_secret", VALUE)
    store.delete("session_secret")
    store.add("session_secret", Secret("n" * 43))
    assert store.get("session_secret") == Secret("n" * 43)


def test_it_knows_when_a_value_was_made(store: Store) -> None:
    store.add("session_secret", VALUE)
    described = store.describe("session_secret")
    if store.address.startswith("doppler:"):
        assert described.made_at is None  # Doppler tells no dates
    else:
        assert described.made_at is not None
        assert abs(datetime.now(UTC) - described.made_at) < timedelta(minutes=1)


@pytest.mark.parametrize("value", ["", " padded", "two\nlines", "nul\0", "x" * 4097])
def test_values_that_some_store_would_change_are_refused_by_each(store: Store, value: str) -> None:
    with pytest.raises(UnfitValue) as refused:
        store.put("session_secret", Secret(value))
    assert not value.strip() or value.strip() not in str(refused.value)


@pytest.mark.parametrize("name", ["", "Upper", "../etc/passwd", "a/b", "a b", "x" * 64])
def test_names_that_some_store_cannot_keep_are_refused_by_each(store: Store, name: str) -> None:
    with pytest.raises(UnfitName):
        store.put(name, VALUE)


def test_the_address_and_the_repr_show_no_value(store: Store) -> None:
    store.add("session_secret", VALUE)
    assert VALUE.reveal() not in f"{store.address} {store!r} {vars(store)!r}"
