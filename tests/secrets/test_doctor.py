"""The doctor: silent about what is well, and for each thing that is not, what was found and the next move."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations import journal
from metachat.operations.findings import Finding
from metachat.operations.secrets import Described, Place, StoreUnreachable, doctor, making, open_store
from metachat.operations.secrets.stores.age import AgeStore

NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture
def place(age_store: AgeStore, tmp_path: Path) -> Place:
    """An age file in production, with everything that it needs."""
    making.generate(age_store, making.Wanted(database="db.internal/metachat"))
    return Place(f"age:{age_store.path}?identity={age_store.identity}", tmp_path, {}, production=True)


@pytest.fixture
def seen(place: Place) -> doctor.Seen:
    """What the doctor sees there."""
    return doctor.look(place)


def bad(findings: list[Finding]) -> list[str]:
    """What is not well; each has a next move."""
    found = [finding for finding in findings if not finding.passed]
    assert all(finding.fix for finding in found)
    return [f"{finding.name}: {finding.found}" for finding in found]


def test_a_new_installation_is_well(seen: doctor.Seen) -> None:
    assert bad(doctor.examine(seen)) == []
    assert len(doctor.examine(seen)) >= len(doctor.CHECKS)


def test_a_store_that_is_away_is_the_only_finding(place: Place, tmp_path: Path) -> None:
    (tmp_path / "secrets.age").unlink()
    (found,) = bad(doctor.examine(doctor.look(place)))
    assert found.startswith("store reachable")
    refused = doctor.Seen(
        "vault:", "production", NOW, StoreUnreachable("No answer.", "See whether it is up.")
    )
    assert bad(doctor.examine(refused)) == ["store reachable: The secrets store did not answer. No answer."]


def test_an_identity_that_others_may_read(seen: doctor.Seen, place: Place, age_store: AgeStore) -> None:
    assert bad(doctor.files_are_private(seen)) == []
    (found,) = bad(doctor.files_are_private(replace(seen, modes={age_store.identity: 0o640})))
    assert "640" in found


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("session_secret", "tooshort", "32 bytes"),
        ("session_secret", "change-me-change-me-change-me-change-me", "placeholder"),
        ("encryption_key", "a" * 40, "entropy"),
        ("database_url", "postgresql://metachat_app:postgres@localhost/metachat", "password"),
    ],
)
def test_a_value_under_its_minimum(seen: doctor.Seen, name: str, value: str, said: str) -> None:
    worse = replace(seen, values={**seen.values, name: Secret(value)})
    found = bad(doctor.values_are_fit(worse))
    assert any(name in line and said in line for line in found)
    assert value not in " ".join(found)


def test_a_value_used_twice(seen: doctor.Seen) -> None:
    twice = replace(seen, values={**seen.values, "api_key_pepper": seen.values["session_secret"]})
    (found,) = bad(doctor.none_is_shared(twice))
    assert "api_key_pepper" in found
    assert "session_secret" in found


def test_a_missing_and_an_unknown_one(seen: doctor.Seen) -> None:
    values = {name: value for name, value in seen.values.items() if name != "cli_token"}
    odd = replace(seen, values={**values, "sesion_secret": Secret("s" * 43)})
    assert "cli_token" in bad(doctor.nothing_is_missing(odd))[0]
    assert "sesion_secret" in bad(doctor.nothing_is_unknown(odd))[0]


def test_no_recovery_recipient(seen: doctor.Seen) -> None:
    assert bad(doctor.recovery_is_possible(replace(seen, recipients={"server": "age1a", "laptop": "age1b"})))
    assert bad(doctor.recovery_is_possible(replace(seen, recipients={"recovery": "age1a"})))


def test_a_store_without_recipients_wants_an_escrow_bundle_of_after_the_last_change(tmp_path: Path) -> None:
    place = Place(f"file:{tmp_path}/secrets.env", tmp_path, {})
    making.generate(open_store(place), making.Wanted())
    assert "no escrow bundle" in bad(doctor.recovery_is_possible(doctor.look(place)))[0]
    journal.record(tmp_path, doctor.ESCROW, "bundle.age")
    seen = doctor.look(place)
    assert bad(doctor.recovery_is_possible(seen)) == []
    later = replace(
        seen, described={"smtp_password": Described("smtp_password", seen.now + timedelta(days=1))}
    )
    assert "newer" in bad(doctor.recovery_is_possible(later))[0]


def test_a_key_older_than_its_policy(seen: doctor.Seen) -> None:
    old = Described("encryption_key", seen.now - timedelta(days=366))
    (found,) = bad(doctor.keys_are_young(replace(seen, described={**seen.described, "encryption_key": old})))
    assert "366 days" in found
    unknown = replace(seen, described={"encryption_key": Described("encryption_key")})
    assert "unknown age" in doctor.keys_are_young(unknown)[0].found
