"""What goes wrong between a database and a store far away, through real S3: named, and nothing lost."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from tests.backups.conftest import House, drilled
from tests.backups.weather import Fault, Weather, behind_weather, bucket

from metachat.foundation import clock
from metachat.operations.backups import (
    archiving,
    drilling,
    looking,
    manifest,
    memory,
    restoring,
    streams,
    taking,
)
from metachat.operations.backups.contract import BackupRefusal, ObjectDamaged, ObjectMissing, TargetForbidden
from metachat.operations.backups.database import Server
from metachat.operations.backups.restoring import Source, Wanted
from metachat.operations.local.postgres import Cluster

ROWS = "SELECT count(*), max(id) FROM messages"


@pytest.fixture
def storm(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Weather, House]]:
    """The house, with a bucket behind weather for its backups, which go there in many pieces."""
    monkeypatch.setattr(streams, "PIECE", 256 * 1024)
    with behind_weather(tmp_path / "s3") as (weather, endpoint):
        yield weather, house.with_target(bucket(endpoint, patience=30))


@pytest.fixture
def hasty(storm: tuple[Weather, House]) -> tuple[Weather, House]:
    """As a storm, and nobody waits for its end."""
    weather, house = storm
    return weather, house.with_target(bucket(weather.endpoint, patience=1))


def rows_of(house: House, into: Path) -> list[list[str]]:
    """Restore the house, and count its messages."""
    restoring.restore(Source(house.installation.target, house.installation.identity), into, Wanted())
    cluster = Cluster(into / "postgres")
    cluster.start()
    try:
        return Server.embedded(cluster).ask(ROWS, "metachat")
    finally:
        cluster.stop()


def backups(house: House) -> list[str]:
    return [one.id for one in looking.backups(house.installation.target)]


def test_the_whole_way_through_s3_in_changing_weather(storm: tuple[Weather, House], restored: Path) -> None:
    weather, house = storm
    weather.brings("cut", times=1, after=2)
    made = taking.now(house.installation)
    assert weather.met == 1
    assert len(made.database.pieces) > 5
    weather.brings("500", times=1)
    house.ask("INSERT INTO messages VALUES (5001, 'later')")
    house.archives()
    weather.brings("503", "GET", times=1, after=3)
    assert all(one.passed for one in looking.verify(house.installation))
    assert rows_of(house, restored) == [["5001", "5001"]]


@pytest.mark.parametrize("fault", ["cut", "full", "revoked", "skewed"])
def test_a_backup_that_breaks_off_is_none(hasty: tuple[Weather, House], fault: Fault) -> None:
    weather, house = hasty
    weather.brings(fault, after=4)
    with pytest.raises(BackupRefusal) as told:
        taking.and_remember(house.installation)
    assert weather.met >= 1
    if fault == "skewed":
        assert isinstance(told.value, TargetForbidden)
        assert "clock" in told.value.fix
    weather.clears()
    assert backups(house) == []
    assert memory.recall(house.installation.state).backup_failure == told.value.code
    made = taking.and_remember(house.installation)
    assert backups(house) == [made.id]
    assert memory.recall(house.installation.state).backup_failure == ""


def test_a_wrong_byte_on_the_way_back_is_named_or_made_up_for(
    storm: tuple[Weather, House], restored: Path
) -> None:
    weather, house = storm
    made = taking.now(house.installation)
    house.archives()
    # Once: the piece is fetched again. The first objects that a restore reads are the manifests.
    weather.brings("wrong byte", "GET", times=1, after=3)
    assert all(one.passed for one in looking.verify(house.installation))
    assert weather.met == 1
    weather.brings("wrong byte", "GET", after=3)
    bad = [one for one in looking.verify(house.installation) if not one.passed]
    assert [one.name for one in bad][:1] == ["database"]
    assert any(piece.key in bad[0].found for piece in made.database.pieces)
    with pytest.raises(BackupRefusal):
        rows_of(house, restored)
    weather.clears()
    # What was fetched well is kept, and the restore goes on.
    assert rows_of(house, restored) == [["5000", "5000"]]


def test_a_wrong_byte_in_the_log_is_named(storm: tuple[Weather, House], restored: Path) -> None:
    weather, house = storm
    taking.now(house.installation)
    house.archives()
    cluster = house.server.one("SELECT system_identifier FROM pg_control_system()")
    one = archiving.everything(house.installation.target, cluster)[-1]
    weather.brings("wrong byte", "GET")
    with pytest.raises(ObjectDamaged, match=one.name):
        archiving.fetch(one, house.installation.target, house.recovery)


def test_a_hole_in_the_log_is_not_taken_for_its_end(house: House, restored: Path, tmp_path: Path) -> None:
    taking.now(house.installation)
    for number in range(3):
        house.ask(f"INSERT INTO messages VALUES ({5001 + number}, 'later')")
        house.archives()
    cluster = house.server.one("SELECT system_identifier FROM pg_control_system()")
    segments = [
        one for one in archiving.everything(house.installation.target, cluster) if len(one.name) == 24
    ]
    house.installation.target.delete(segments[-2].key)
    with pytest.raises(ObjectMissing, match=segments[-2].name):
        rows_of(house, restored)


def test_a_clock_that_was_set_back_loses_nothing(
    house: House, restored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.keeper()._step()
    first = taking.now(house.installation)
    house.ask("INSERT INTO messages VALUES (5001, 'later')")
    right = clock.now
    monkeypatch.setattr(clock, "now", lambda: right() - timedelta(hours=1))
    second = taking.now(house.installation)
    assert second.id < first.id
    house.ask("INSERT INTO messages VALUES (5002, 'later still')")
    house.keeper()._step()
    house.archives()
    assert rows_of(house, restored) == [["5002", "5002"]]
    assert set(backups(house)) == {first.id, second.id}


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A folder on a disk of its own; skips where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    size = f"size={megabytes}m,mode=0777"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_while_archiving(house: House, restored: Path) -> None:
    taking.now(house.installation)
    spool = house.installation.spool
    house.archives()
    with small_disk(spool, 80):
        filling = spool / "somebody-elses"
        filling.write_bytes(bytes(72 * 1024 * 1024))
        house.ask("INSERT INTO messages VALUES (5001, 'while it was full')")
        house.server.ask("SELECT pg_switch_wal()")
        house.server.ask(FAILED)
        assert [path.name for path in spool.iterdir()] == [filling.name]
        # Postgres keeps what it could not hand over, and the house goes on.
        house.ask("INSERT INTO messages VALUES (5002, 'still')")
        filling.unlink()
        house.archives()
    assert rows_of(house, restored) == [["5002", "5002"]]


FAILED = """
DO $$ BEGIN
  FOR i IN 1..2400 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN (SELECT failed_count > 0 FROM pg_stat_archiver);
    PERFORM pg_sleep(0.05);
    ASSERT i < 2400, 'the archive command does not fail';
  END LOOP;
END $$
"""


def begins(house: House, *argv: str) -> subprocess.Popen[bytes]:
    """Start a process of metachat's on the house, as `metachat up` does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    target = house.installation.target.address
    given = {
        "METACHAT_DATA_DIR": str(house.data),
        "METACHAT_BACKUP_TARGET": target,
        "METACHAT_DRILL_DAYS": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-m", *argv], env={**kept, **given}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def until(holds: Callable[[], object], what: str, patience: float = 120) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def test_the_archive_that_runs_for_months_is_killed(house: House, restored: Path) -> None:
    def newest() -> object:
        return memory.recall(house.installation.state).canary_at

    first = begins(house, "metachat.cli.child", "archive")
    try:
        until(newest, "the first canary has arrived")
        until(lambda: backups(house), "there is a full backup")
    finally:
        first.kill()
        first.wait()
    before = newest()
    house.ask("INSERT INTO messages VALUES (5001, 'while nobody kept it')")
    house.server.ask("SELECT pg_switch_wal()")
    second = begins(house, "metachat.cli.child", "archive")
    try:
        until(lambda: newest() != before, "a later canary has arrived")
    finally:
        second.kill()
        second.wait()
    assert rows_of(house, restored) == [["5001", "5001"]]


def test_what_a_killed_drill_leaves_is_gone_after_the_next(house: House) -> None:
    taking.now(house.installation)
    house.archives()
    killed = begins(house, "metachat", "backup", "drill")
    try:
        until(lambda: list(house.data.glob(".drill-*/data/postgres")), "it restores")
    finally:
        killed.kill()
        killed.wait()
    (left,) = house.data.glob(".drill-*")
    homes = [path.read_text().strip() for path in left.glob("data/postgres/home")]
    drilled(house.installation)
    assert list(house.data.glob(".drill-*")) == []
    assert [home for home in homes if Path(home).exists()] == []
    assert not [one for one in psutil.process_iter(["cwd"]) if str(one.info["cwd"]).startswith(str(left))]


def test_a_drill_is_refused_where_the_disk_does_not_suffice(house: House, tmp_path: Path) -> None:
    taking.now(house.installation)
    small = tmp_path / "small"
    small.mkdir()
    with small_disk(small, 64):
        record = drilled(replace(house.installation, data=small))
        assert record.verdict == drilling.FAILED
        assert "bytes free" in record.checks[0].found
        assert list(small.glob(".drill-*")) == []


def test_a_key_that_rows_need_and_the_backup_lacks_fails_the_drill(house: House) -> None:
    house.ask(
        "CREATE TABLE tenants (tenant_id int, slug text); CREATE TABLE jobs (id int);"
        "CREATE TABLE chunks (tenant_id int, id int, text text);"
        "CREATE TABLE key_records (name text, id text, state text);"
        "INSERT INTO key_records VALUES ('encryption_key', '00000000deadbeef', 'old'),"
        " ('encryption_key', '00000000retired0', 'retired')"
    )
    made = taking.now(house.installation)
    assert made.keys == {"encryption_key": ("00000000deadbeef",)}
    house.archives()
    record = drilled(house.installation)
    found = {one.name: one for one in record.checks}
    assert record.verdict == drilling.FAILED
    assert found["keys"].found.endswith("encryption_key 00000000deadbeef")
    assert not found["keys"].passed


def test_the_operators_settings_of_postgres_come_back(house: House, restored: Path) -> None:
    custom = house.cluster.home / "custom.conf"
    custom.write_text("work_mem = '11MB'\n")
    taking.now(house.installation)
    house.archives()
    restoring.restore(Source(house.installation.target, house.recovery), restored, Wanted())
    cluster = Cluster(restored / "postgres")
    cluster.start()
    try:
        assert Server.embedded(cluster).one("SHOW work_mem") == "11MB"
    finally:
        cluster.stop()


def test_manifests_of_before_the_keys_were_listed_still_hold(house: House) -> None:
    made = taking.now(house.installation)
    assert made.keys == {}
    read = manifest.read(made.cluster, made.id, house.installation.target)
    assert b'"keys"' not in house.installation.target.get(manifest.key(made.cluster, made.id))
    assert read.manifest == made
