"""From a running database to a place far away and back, with nothing but that place and a key."""

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pytest
from tests.backups.conftest import TENANT, House

from metachat.foundation import clock
from metachat.foundation.settings import Secret
from metachat.operations import age, journal
from metachat.operations.backups import canary, looking, memory, restoring, taking
from metachat.operations.backups.contract import KeyMissing, ManifestDamaged, NotEmpty, NotThatFar
from metachat.operations.backups.database import Server
from metachat.operations.backups.restoring import Source, Wanted
from metachat.operations.local.postgres import Cluster


def add_document(house: House, content: bytes) -> Path:
    name = hashlib.sha256(content).hexdigest()
    path = house.installation.blobs / TENANT / name[:2] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ask(folder: Path, sql: str) -> list[list[str]]:
    """Start a restored database and ask it."""
    cluster = Cluster(folder / "postgres")
    cluster.start()
    try:
        return Server.embedded(cluster).ask(sql, "metachat")
    finally:
        cluster.stop()


def test_everything_comes_back_with_the_recovery_key_alone(house: House, restored: Path) -> None:
    content = b"Terms of delivery" * 1000
    document = add_document(house, content)
    made = taking.now(house.installation)
    assert made.rows["messages"].after == 5000
    assert [entry.what for entry in journal.entries(house.data)] == ["backup.now"]

    # Written after the full backup, so that only the log knows it.
    house.ask("INSERT INTO messages VALUES (5001, 'after the backup')")
    house.archives()

    found = restoring.restore(Source(house.installation.target, house.recovery), restored, Wanted())
    assert found.manifest.id == made.id
    assert ask(restored, "SELECT count(*), max(text) FILTER (WHERE id = 5001) FROM messages") == [
        ["5001", "after the backup"]
    ]
    brought_back = restored / "blobs" / document.relative_to(house.installation.blobs)
    assert brought_back.read_bytes() == content
    assert "k" * 40 in (restored / "secrets.env").read_text()
    assert (restored / "secrets.env").stat().st_mode & 0o077 == 0
    assert not (restored / ".restoring").exists()


def test_a_stranger_reads_nothing_of_it(house: House, restored: Path, tmp_path: Path) -> None:
    house.ask("INSERT INTO messages VALUES (5001, 'a-word-that-is-private')")
    add_document(house, b"another-word-that-is-private")
    taking.now(house.installation)
    house.archives()
    kept = [path for path in (tmp_path / "offsite").rglob("*") if path.is_file()]
    assert len(kept) >= 6
    assert not [path for path in kept if b"that-is-private" in path.read_bytes()]
    stranger = Source(house.installation.target, age.new_identity())
    with pytest.raises(KeyMissing):
        restoring.restore(stranger, restored, Wanted())
    assert not (restored / "secrets.env").exists()


def test_a_time_in_the_past_is_reached_exactly(house: House, restored: Path) -> None:
    taking.now(house.installation)
    house.ask("INSERT INTO messages VALUES (5001, 'kept')")
    moment = datetime.fromisoformat(house.server.one("SELECT clock_timestamp()"))
    house.ask("DELETE FROM messages")  # the accident
    house.archives()
    source = Source(house.installation.target, house.installation.identity)
    restoring.restore(source, restored, Wanted(at=moment))
    assert ask(restored, "SELECT count(*) FROM messages") == [["5001"]]


def test_a_time_that_the_log_does_not_reach_is_refused(house: House, restored: Path) -> None:
    taking.now(house.installation)
    house.archives()
    source = Source(house.installation.target, house.installation.identity)
    with pytest.raises(NotThatFar):
        restoring.restore(source, restored, Wanted(at=clock.now().replace(year=2100)))


def test_a_folder_that_holds_something_is_left_alone(house: House, restored: Path) -> None:
    taking.now(house.installation)
    restored.mkdir()
    (restored / "letter").write_text("mine")
    with pytest.raises(NotEmpty):
        restoring.restore(Source(house.installation.target, house.recovery), restored, Wanted())
    assert [path.name for path in restored.iterdir()] == ["letter"]


def test_the_canary_arrives_and_tells_what_would_be_lost(house: House, restored: Path) -> None:
    taking.now(house.installation)
    keeper = house.keeper()
    keeper._step()  # writes one; Postgres hands its segment over in a moment
    house.archives()
    written = canary.newest(house.server)
    assert written is not None
    keeper.ship()
    found = restoring.restore(Source(house.installation.target, house.recovery), restored, Wanted())
    assert found.newest == written.at


def test_documents_are_sent_once(house: House, tmp_path: Path) -> None:
    add_document(house, b"one")
    taking.now(house.installation)
    sent = {path: path.stat().st_mtime_ns for path in (tmp_path / "offsite" / "documents").rglob("*.0*")}
    add_document(house, b"two")
    later = taking.now(house.installation)
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "offsite" / "documents").rglob("*.0*")}
    assert len(sent) == 1
    assert len(again) == 2
    assert sent.items() <= again.items()
    assert later.document_count == 2


def test_a_manifest_that_was_changed_or_cut_is_no_backup(house: House, tmp_path: Path) -> None:
    made = taking.now(house.installation)
    path = next((tmp_path / "offsite").rglob("manifest.json"))
    whole = path.read_bytes()
    source = Source(house.installation.target, house.recovery)
    for broken in (whole[: len(whole) // 2], whole.replace(b'"shop.example"', b'"shop.exampIe"'), b""):
        path.write_bytes(broken)
        with pytest.raises(ManifestDamaged):
            restoring.choose(source, Wanted())
        assert [one.manifest for one in looking.backups(house.installation.target)] == [None]
    path.write_bytes(whole)
    assert restoring.choose(source, Wanted()).manifest.id == made.id


def test_another_installations_signature_is_refused(house: House) -> None:
    taking.now(house.installation)
    with pytest.raises(ManifestDamaged, match="signed by"):
        restoring.choose(Source(house.installation.target, house.recovery, "00" * 32), Wanted())


def test_the_secrets_open_with_what_opens_escrow_bundles(house: House) -> None:
    from metachat.operations.secrets import escrow

    made = taking.now(house.installation)
    content = house.installation.target.get(made.secrets.pieces[0].key)
    bundle = escrow.open_bundle(content, house.recovery)
    assert {one.name: one.value for one in bundle.secrets} == {"encryption_key": Secret("k" * 40)}
    assert made.key_fingerprints == {"encryption_key": bundle.secrets[0].fingerprint}
    assert "k" * 40 not in json.dumps(made.key_fingerprints)
    assert memory.recall(house.installation.state).failure == ""
