"""What stays of many backups, and that nothing goes which one of them needs."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.backups.conftest import House

from metachat.operations.backups import archiving, looking, manifest, pruning, restoring, taking
from metachat.operations.backups.contract import BackupRunning, LastGoodBackup, WalConflict
from metachat.operations.backups.installation import alone
from metachat.operations.backups.manifest import Manifest
from metachat.operations.backups.pruning import Keep
from metachat.operations.backups.restoring import Source, Wanted


def aged(house: House, made: Manifest, days: int) -> Manifest:
    """Make a backup look older, as its own key may."""
    at = made.began_at - timedelta(days=days)
    older = msgspec.structs.replace(made, id=f"{at:%Y%m%dT%H%M%S}Z", began_at=at, ended_at=at)
    manifest.write(older, house.installation.target, house.installation.identity)
    return older


def test_days_weeks_and_months_stay(house: House) -> None:
    made = taking.now(house.installation)
    at = datetime(2026, 6, 30, 12, tzinfo=UTC)
    many = [
        msgspec.structs.replace(made, id=f"{at - timedelta(hours=12 * n):%Y%m%dT%H%M%S}Z",
                                began_at=at - timedelta(hours=12 * n))
        for n in range(800)
    ]  # fmt: skip
    kept = pruning.stays(many, Keep(7, 4, 12))
    days = [one.began_at.date().isoformat() for one in kept]
    assert days[-7:] == [f"2026-06-{day}" for day in range(24, 31)]
    assert "2026-05-31" in days
    assert "2025-07-31" in days
    assert "2025-06-30" not in days
    assert len(kept) == len(set(days)) == 7 + 2 + 11


def test_the_last_good_one_is_never_deleted(house: House) -> None:
    made = taking.now(house.installation)
    with pytest.raises(LastGoodBackup):
        pruning.prune(house.installation, Keep(0, 0, 0))
    assert restoring.choose(Source(house.installation.target, house.recovery), Wanted()).manifest == made


def test_what_a_kept_backup_needs_stays(house: House) -> None:
    made = taking.now(house.installation)
    old = aged(house, made, days=3)
    house.ask("INSERT INTO messages VALUES (5001, 'later')")
    house.archives()
    before = {one.name for one in archiving.everything(house.installation.target, made.cluster)}
    pruned = pruning.prune(house.installation, Keep(1, 0, 0))
    assert pruned.backups == (old.id,)
    assert pruned.kept == (made.id,)
    after = {one.name for one in archiving.everything(house.installation.target, made.cluster)}
    assert {name for name in before if name >= made.first_wal} <= after
    assert all(one.passed for one in looking.verify(house.installation))


def test_two_at_once_are_refused(house: House) -> None:
    with alone(house.data):
        with pytest.raises(BackupRunning):
            taking.now(house.installation)
        with pytest.raises(BackupRunning):
            pruning.prune(house.installation, Keep())
    taking.now(house.installation)


def test_a_segment_that_is_there_already_is_no_trouble_but_another_one_is(house: House) -> None:
    house.archives()
    cluster = house.server.one("SELECT system_identifier FROM pg_control_system()")
    target = house.installation.target
    one = archiving.everything(target, cluster)[-1]
    content = archiving.fetch(one, target, house.recovery)
    spooled = archiving.spool(house.cluster) / one.name
    spooled.write_bytes(content)  # as Postgres does after a crash
    archiving.ship(spooled, target, cluster, house.installation.recipients)
    assert not spooled.exists()
    spooled.write_bytes(content[:-1] + b"!")
    with pytest.raises(WalConflict):
        archiving.ship(spooled, target, cluster, house.installation.recipients)
    assert spooled.exists()
    spooled.unlink()


def test_verify_names_the_piece_with_a_wrong_byte(house: House) -> None:
    made = taking.now(house.installation)
    target = house.installation.target
    key = made.database.pieces[0].key
    content = target.get(key)
    target.put(key, content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    bad = [one for one in looking.verify(house.installation) if not one.passed]
    assert [one.name for one in bad] == ["database"]
    assert key in bad[0].found
    target.put(key, content)
    assert all(one.passed for one in looking.verify(house.installation))
