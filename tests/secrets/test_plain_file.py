"""The plain file: for its owner only, other lines kept, and the dates of values that did not change too."""

from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations.secrets import StoreDamaged, StoreForbidden
from metachat.operations.secrets.stores.file import FileStore

WRITTEN = """\
# Ours, not to be touched.
METACHAT_PORT=8080
export METACHAT_SMTP_PASSWORD="a \\"quoted\\" one"  # of the provider

# made 2026-01-02T03:04:05Z
METACHAT_SESSION_SECRET=s0123456789012345678901234567890123456789
"""


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A file that somebody wrote by hand."""
    path = tmp_path / "secrets.env"
    path.write_text(WRITTEN)
    path.chmod(0o600)
    return FileStore(path)


def test_what_somebody_wrote_is_read_and_kept(store: FileStore) -> None:
    assert store.get("smtp_password") == Secret('a "quoted" one')
    store.put("api_key_pepper", Secret("p" * 43))
    text = store.path.read_text()
    assert text.startswith(WRITTEN)
    assert store.path.stat().st_mode & 0o777 == 0o600
    store.delete("api_key_pepper")
    assert store.path.read_text() == WRITTEN


def test_a_new_value_takes_the_place_and_the_date_of_the_old(store: FileStore) -> None:
    store.put("session_secret", Secret("s0123456789012345678901234567890123456789"))
    made_at = store.describe("session_secret").made_at
    assert made_at is not None
    assert made_at.year == 2026
    assert made_at.month == 1
    store.put("session_secret", Secret("another" * 6))
    assert store.describe("session_secret").made_at != made_at
    assert store.path.read_text().count("# made") == 1
    assert store.describe("smtp_password").made_at is None


def test_odd_characters_and_line_ends_do_not_move_it_elsewhere(store: FileStore) -> None:
    odd = "METACHAT_SMTP_USER='a\x0cb\u2028c'\r\nMETACHAT_EMBEDDER_KEY=of-the-provider\r\n# the end"
    store.path.write_bytes(odd.encode())
    store.put("embedder_key", Secret("another"))
    lines = store.path.read_bytes().decode().split("\n")
    assert lines[0] == "METACHAT_SMTP_USER='a\x0cb\u2028c'\r"
    assert lines[2:] == ["METACHAT_EMBEDDER_KEY=another", "# the end", ""]
    assert store.get("embedder_key") == Secret("another")


def test_a_file_that_others_may_read_is_refused(store: FileStore) -> None:
    store.path.chmod(0o644)
    with pytest.raises(StoreForbidden, match="chmod 600"):
        store.names()
    with pytest.raises(StoreForbidden):
        store.put("session_secret", Secret("another" * 6))


def test_a_line_that_is_none_is_named_by_its_number_only(store: FileStore) -> None:
    store.path.write_text(WRITTEN + "hunter2\n")
    with pytest.raises(StoreDamaged, match="Line 7") as refused:
        store.names()
    assert "hunter2" not in str(refused.value)
