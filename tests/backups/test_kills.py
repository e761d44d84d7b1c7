"""kill -9 at any point: of a backup, of pruning, of a restore, of the archive."""

import contextlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.backups.conftest import House

from metachat.operations.backups import archiving, looking, restoring, taking
from metachat.operations.backups.restoring import Source, Wanted
from metachat.operations.local.postgres import Cluster

SEEDS = range(int(os.environ.get("METACHAT_SOAK", "2")))
PATIENCE = 120

ARCHIVE = """
import os
from metachat.foundation import settings
from metachat.operations.backups.installation import find
from metachat.operations.backups.keeping import Keeper
Keeper(find(settings.load(), os.environ), print).ship()
"""


def begins(house: House, offsite: Path, *argv: str) -> subprocess.Popen[bytes]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    given = {"METACHAT_DATA_DIR": str(house.data), "METACHAT_BACKUP_TARGET": f"dir:{offsite}"}
    return subprocess.Popen(
        [sys.executable, *argv], env={**kept, **given}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def is_killed(process: subprocess.Popen[bytes], after: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_nothing_is_lost(house: House, tmp_path: Path, seed: int) -> None:
    chance, offsite = random.Random(seed), tmp_path / "offsite"
    began = time.monotonic()
    assert begins(house, offsite, "-m", "metachat", "backup", "now").wait(PATIENCE) == 0
    took = time.monotonic() - began
    first = [one.id for one in looking.backups(house.installation.target)]
    assert len(first) == 1

    house.ask("INSERT INTO messages VALUES (5001, 'later')")
    house.server.ask("SELECT pg_switch_wal()")
    pruned = False
    for argv in (
        ("-m", "metachat", "backup", "now"),
        ("-c", ARCHIVE),
        ("-m", "metachat", "backup", "prune"),
        ("-m", "metachat", "backup", "now"),
    ):
        is_killed(begins(house, offsite, *argv), chance.uniform(0, took))
        pruned = pruned or "prune" in argv
        # Whatever is listed is whole; what was there is there, or was pruned for a newer one of its day.
        listed = list(looking.backups(house.installation.target))
        ids = [one.id for one in listed]
        assert first[0] in ids or (pruned and max(ids) > first[0])
        assert [one.trouble for one in listed if one.trouble] == []
        for one in listed:
            assert all(found.passed for found in looking.verify(house.installation, one.id))

    house.archives()
    assert not archiving.waiting(archiving.spool(house.cluster))
    made = taking.now(house.installation)

    into = tmp_path / "restored"
    try:
        argv = ("-m", "metachat", "restore", "--to", str(into))
        is_killed(begins(house, offsite, *argv), chance.uniform(took / 2, 2 * took))
        if not (into / ".restoring").exists() and into.exists():
            return  # it was faster
        found = restoring.restore(Source(house.installation.target, house.recovery), into, Wanted())
        assert found.manifest.id == made.id
    finally:
        if (into / "postgres").is_dir():
            Cluster(into / "postgres").destroy()
