"""The bundle for the safe: everything in it, for the recovery key alone, restored without overwriting."""

import json
from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.secrets import Place, Store, StoreDamaged, escrow, identities, making, open_store
from metachat.operations.secrets.stores.age import AgeStore


@pytest.fixture
def filled(age_store: AgeStore) -> AgeStore:
    """An age file with what a new installation needs."""
    making.generate(age_store, making.Wanted(database="localhost/metachat"))
    return age_store


@pytest.fixture
def recovery(filled: AgeStore) -> Secret:
    """The private key of the safe."""
    return identities.load(filled.identity.with_name("recovery.identity"))


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Another store, on a new server."""
    return open_store(Place(f"file:{tmp_path}/new.env", tmp_path, {}))


def sealed(store: Store, key: Secret) -> bytes:
    """A bundle of a store for a key."""
    return age.encrypt(escrow.gather(store).to_json(), [age.public(key)])


def test_it_holds_everything_and_says_what_each_restores(filled: AgeStore, recovery: Secret) -> None:
    content = sealed(filled, recovery)
    assert not any(filled.get(name).reveal().encode() in content for name in filled.names())
    bundle = escrow.open_bundle(content, recovery)
    assert {one.name: one.value for one in bundle.secrets} == {
        name: filled.get(name) for name in filled.names()
    }
    assert all(one.restores and one.made_at for one in bundle.secrets)
    by_name = {one.name: one for one in bundle.secrets}
    assert len(by_name["encryption_key"].fingerprint) == 16
    assert by_name["database_url"].fingerprint == ""  # an address is no random key


def test_plain_age_and_eyes_are_enough_to_read_it(filled: AgeStore, recovery: Secret) -> None:
    content = json.loads(age.decrypt(sealed(filled, recovery), recovery))
    values = {one["name"]: one["value"] for one in content["secrets"]}
    assert values["encryption_key"] == filled.get("encryption_key").reveal()
    assert "escrow --open" in content["to_restore"]


def test_nobody_else_opens_it_and_damage_is_told(filled: AgeStore, recovery: Secret) -> None:
    content = sealed(filled, recovery)
    for key in (age.new_identity(), Secret("a passphrase")):
        with pytest.raises(StoreDamaged, match="does not open"):
            escrow.open_bundle(content, key)
    with pytest.raises(StoreDamaged):
        escrow.open_bundle(content[:-1] + bytes([content[-1] ^ 1]), recovery)
    stranger = age.encrypt(b'{"form": "of another program"}', [age.public(recovery)])
    with pytest.raises(StoreDamaged, match="no escrow bundle"):
        escrow.open_bundle(stranger, recovery)


def test_a_passphrase_opens_what_it_locked(filled: AgeStore) -> None:
    passphrase = Secret("correct horse battery staple")
    content = age.lock(escrow.gather(filled).to_json(), passphrase)
    assert len(escrow.open_bundle(content, passphrase).secrets) == len(filled.names())


def test_a_lost_server_comes_back_from_it(filled: AgeStore, recovery: Secret, other: Store) -> None:
    bundle = escrow.open_bundle(sealed(filled, recovery), recovery)
    assert set(escrow.restore(bundle, other).values()) == {"restored"}
    assert {name: other.get(name) for name in other.names()} == {
        name: filled.get(name) for name in filled.names()
    }


def test_restoring_overwrites_nothing(filled: AgeStore, recovery: Secret, other: Store) -> None:
    other.add("session_secret", Secret("newer" * 8))
    other.add("cli_token", filled.get("cli_token"))
    told = escrow.restore(escrow.open_bundle(sealed(filled, recovery), recovery), other)
    assert told["session_secret"] == "kept"
    assert told["cli_token"] == "same"
    assert told["encryption_key"] == "restored"
    assert other.get("session_secret") == Secret("newer" * 8)


def test_opening_compares_with_what_is_here(filled: AgeStore, recovery: Secret) -> None:
    bundle = escrow.open_bundle(sealed(filled, recovery), recovery)
    filled.put("session_secret", Secret("newer" * 8))
    filled.delete("cli_token")
    filled.add("smtp_password", Secret("of a new account"))
    told = escrow.compare(bundle, filled)
    assert told["session_secret"] == "other"
    assert told["cli_token"] == "missing"
    assert told["encryption_key"] == "same"
    assert told["smtp_password"] == "newer"
