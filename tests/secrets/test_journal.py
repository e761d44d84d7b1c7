"""The journal: every entry follows from the one before it, and what is changed or taken out shows."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metachat.operations import journal
from metachat.operations.secrets import SecretMissing

WRITING = """
    import sys
    from pathlib import Path
    from metachat.operations import journal
    for number in range(40):
        journal.record(Path(sys.argv[1]), "test.write", f"{sys.argv[2]} {number}")
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A data folder with a journal of five entries."""
    for number in range(5):
        journal.record(tmp_path, "secrets.set", f"secret {number}")
    return tmp_path


def lines(data: Path) -> list[str]:
    """The lines of the journal."""
    return (data / journal.FILE).read_text().splitlines(keepends=True)


def rewrite(data: Path, changed: list[str]) -> None:
    """Put other lines into the journal."""
    (data / journal.FILE).write_text("".join(changed))


def test_it_tells_who_did_what_and_how_it_ended(tmp_path: Path) -> None:
    with journal.recorded(tmp_path, "secrets.set", "session_secret"):
        pass
    with pytest.raises(SecretMissing), journal.recorded(tmp_path, "secrets.get", "api_key_pepper"):
        raise SecretMissing("api_key_pepper")
    with pytest.raises(KeyboardInterrupt), journal.recorded(tmp_path, "secrets.edit"):
        raise KeyboardInterrupt
    entries = journal.entries(tmp_path)
    assert [(entry.what, entry.about, entry.result) for entry in entries] == [
        ("secrets.set", "session_secret", "ok"),
        ("secrets.get", "api_key_pepper", "secret_missing"),
        ("secrets.edit", "", "KeyboardInterrupt"),
    ]
    assert all(entry.who and entry.at for entry in entries)
    assert (tmp_path / journal.FILE).stat().st_mode & 0o777 == 0o600


def test_a_whole_journal_is_whole(written: Path) -> None:
    assert journal.broken(written) is None


@pytest.mark.parametrize("number", range(5))
def test_a_line_taken_out_shows(written: Path, number: int) -> None:
    kept = lines(written)
    del kept[number]
    rewrite(written, kept)
    assert journal.broken(written) is not None
    journal.record(written, "secrets.set", "later")  # nor does going on hide it
    assert journal.broken(written) is not None


@pytest.mark.parametrize("number", range(5))
def test_a_line_changed_shows(written: Path, number: int) -> None:
    changed = lines(written)
    changed[number] = changed[number].replace("secrets.set", "secrets.get")
    rewrite(written, changed)
    assert journal.broken(written) is not None


def test_a_journal_taken_away_shows(written: Path) -> None:
    (written / journal.FILE).unlink()
    assert journal.broken(written) is not None


def test_a_head_taken_away_shows(written: Path) -> None:
    (written / journal.HEAD).unlink()
    assert journal.broken(written) is not None
    journal.record(written, "secrets.set", "later")
    assert journal.broken(written) is not None


def test_a_line_that_a_crash_tore_is_left_and_the_chain_goes_on(written: Path) -> None:
    with (written / journal.FILE).open("a") as file:
        file.write('{"at": "2026-')
    journal.record(written, "secrets.set", "after the crash")
    assert journal.broken(written) is None
    assert journal.entries(written)[-1].about == "after the crash"
    assert len(journal.entries(written)) == 6


def test_a_head_that_lags_behind_after_a_crash_is_no_fault(written: Path) -> None:
    head = (written / journal.HEAD).read_text()
    journal.record(written, "secrets.set", "one more")
    (written / journal.HEAD).write_text(head)
    assert journal.broken(written) is None
    journal.record(written, "secrets.set", "and on")
    assert journal.broken(written) is None


def test_two_processes_write_one_chain(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITING), str(tmp_path), name])
        for name in ("left", "right")
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(journal.entries(tmp_path)) == 80
    assert journal.broken(tmp_path) is None


def test_what_cannot_be_noted_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(journal.JournalUnwritable):
        journal.record(tmp_path / "data", "secrets.set")
