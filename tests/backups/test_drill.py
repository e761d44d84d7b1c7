"""`metachat up` with a place for its backups, and the drill that proves them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests import commands
from tests.local.conftest import Up, until
from typing_extensions import override

import metachat
from metachat.operations import journal
from metachat.operations.backups import signing

PATIENCE = 600
HELP = Path(metachat.__file__).parent / "demo" / "help" / "en"
DOCUMENTS = [str(HELP / name) for name in ("shipping.md", "returns.html", "tent-setup.txt")]


class BackedUp(Up):
    """A platform whose backups go to a folder."""

    offsite: Path

    @property
    @override
    def environment(self) -> dict[str, str]:
        return {
            **super().environment,
            "METACHAT_BACKUP_TARGET": f"dir:{self.offsite}",
            "METACHAT_DRILL_DAYS": "0",
        }

    def has_a_backup(self) -> bool:
        """Whether one was taken."""
        return bool(json.loads(self.tells("backup", "status", "--json")[1])["backup_at"])

    def canary_at(self) -> datetime:
        """When the newest canary was written that has arrived; long ago without one."""
        at = json.loads(self.tells("backup", "status", "--json")[1])["canary_at"]
        return datetime.fromisoformat(at) if at else datetime.min.replace(tzinfo=UTC)

    def tells(self, *argv: str) -> tuple[int, str, str]:
        """Run a command of metachat; its exit code and both of its outputs."""
        done = commands.run(*argv, env=self.environment, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def backed_up(tmp_path: Path) -> Iterator[BackedUp]:
    made = BackedUp(tmp_path / "data", "--no-demo", "--workers", "1")
    made.offsite = tmp_path / "offsite"
    made.offsite.mkdir()
    yield made
    made.cleans_up()


@pytest.mark.timeout(900)
def test_a_platform_is_backed_up_drilled_and_restored(backed_up: BackedUp, tmp_path: Path) -> None:
    up = backed_up
    up.starts()
    until(up.has_a_backup, "there is a backup", pause=0.3)
    for argv in (("tenants", "create", "demo"), ("knowledge", "add", *DOCUMENTS), ("backup", "now")):
        code, _, wrong = up.tells(*argv)
        assert code == 0, wrong
    # A canary of after that: what was written until then, the documents too, has arrived as well.
    # Whoever keeps the log writes one as soon as it starts, the next only after half a minute: it is killed.
    added = datetime.now(UTC)
    os.kill(up.pid_of("archive"), signal.SIGKILL)
    until(lambda: up.canary_at() >= added, "a canary of after that has arrived", pause=0.3)

    code, said, wrong = up.tells("backup", "drill", "--json")
    record = json.loads(said)
    assert [one for one in record["checks"] if not one["passed"]] == [], wrong
    assert (code, record["verdict"]) == (0, "passed")
    assert {one["name"] for one in record["checks"]} >= {
        "sealed values",
        "the application answers",
        "documents",
    }
    assert "3, each hashed" in [one["found"] for one in record["checks"]]
    assert record["rto"] > 0
    assert record["rpo"] <= 60
    assert "it cited" in next(
        one["found"] for one in record["checks"] if one["name"] == "the application answers"
    )
    entry = next(one for one in journal.entries(up.data) if one.what == "backup.drill")
    content, _, signature = entry.about.partition(" signed ")
    signer = signing.signer(signing.load_identity(up.data / signing.FILE))
    assert signing.holds(signer, signature, content.encode())
    assert not signing.holds(signer, signature, content.replace("passed", "pAssed").encode())
    assert not list(up.data.glob(".drill-*"))

    # Without its key the drill fails, loudly, and production does not notice.
    key = (up.data / signing.FILE).rename(tmp_path / "key")
    code, said, _ = up.tells("backup", "drill", "--json")
    assert (code, json.loads(said)["verdict"]) == (1, "failed")
    key.rename(up.data / signing.FILE)
    assert up.status()["healthy"]

    code, _, wrong = up.tells("restore", "--in-place", "--confirm", "another")
    assert (code, up.status()["healthy"]) == (65, True), wrong
    code, said, wrong = up.tells("restore", "--in-place", "--confirm", "data", "--json")
    assert code == 0, wrong
    aside = Path(json.loads(said)["old"])
    assert up.process is not None
    assert up.process.wait(60) == 0
    up.starts()
    assert "demo" in up.tells("tenants", "list")[1]
    assert (aside / "postgres").is_dir()
    subprocess.run([sys.executable, "-c", DESTROY, str(aside)], check=True)


DESTROY = """
import sys, pathlib
from metachat.operations.local.postgres import Cluster
Cluster(pathlib.Path(sys.argv[1]) / "postgres").destroy()
"""
