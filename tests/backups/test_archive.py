"""The script that Postgres hands its log to, and an archive that fails for an hour and recovers."""

import subprocess
from pathlib import Path

from tests.backups.conftest import House
from tests.backups.weather import behind_weather, bucket

from metachat.operations.backups import archiving, memory
from metachat.operations.local.postgres import Cluster


def run(script: Path, segment: Path, name: str, spool: Path) -> int:
    argv = ["/bin/sh", str(script), str(segment), name, str(spool)]
    return subprocess.run(argv, capture_output=True, check=False).returncode


def test_the_script_succeeds_on_the_same_and_fails_on_anything_else(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "postgres")
    cluster.folder.mkdir()
    archiving.prepare(cluster)
    script, spool = cluster.home / "archive.sh", archiving.spool(cluster)
    segment = tmp_path / "segment"
    segment.write_bytes(b"log" * 1000)
    name = "000000010000000000000001"
    (spool / f".{name}.new").write_bytes(b"half of it")  # left by a killed one
    assert run(script, segment, name, spool) == 0
    assert (spool / name).read_bytes() == segment.read_bytes()
    assert run(script, segment, name, spool) == 0
    segment.write_bytes(b"other" * 1000)
    assert run(script, segment, name, spool) == 1
    assert (spool / name).read_bytes() == b"log" * 1000
    assert run(script, tmp_path / "missing", "000000010000000000000002", spool) == 1
    full = Path("/dev/full")
    assert full.exists()
    (spool / ".000000010000000000000003.new").symlink_to(full)  # a disk that is full
    assert run(script, segment, "000000010000000000000003", spool) == 1
    assert [path.name for path in archiving.waiting(spool)] == [name]


def test_an_archive_that_fails_recovers_and_lacks_nothing(house: House, tmp_path: Path) -> None:
    with behind_weather(tmp_path / "s3") as (weather, endpoint):
        away = house.with_target(bucket(endpoint, seconds=1, patience=1))
        weather.brings("503")
        keeper = away.keeper()
        keeper._step()
        for number in range(3):
            house.ask(f"INSERT INTO messages VALUES ({6000 + number}, 'meanwhile')")
            house.server.ask("SELECT pg_switch_wal()")
        segment = house.server.one("SELECT last_archived_wal FROM pg_stat_archiver")
        keeper._step()
        known = memory.recall(house.installation.state)
        assert known.failure == "backup_target_away"
        assert known.failing_since is not None
        assert len(archiving.waiting(archiving.spool(house.cluster))) >= 1
        weather.clears()
        house.with_target(bucket(endpoint)).archives()
        known = memory.recall(house.installation.state)
        assert (known.failure, known.failing_since) == ("", None)
        cluster = house.server.one("SELECT system_identifier FROM pg_control_system()")
        names = [one.name for one in archiving.everything(away.installation.target, cluster)]
        numbers = [int(name[16:], 16) for name in names if len(name) == 24]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert not segment or segment <= names[-1]
        assert not archiving.waiting(archiving.spool(house.cluster))
