"""All secrets in an editor: in memory, judged before they are saved, and gone afterwards."""

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from metachat.foundation.settings import Secret
from metachat.operations.secrets import StoreRefusal, UnfitName, UnfitValue, editing, handing
from metachat.operations.secrets.stores.age import AgeStore

# An editor that notes what it sees, and then does what the test says.
EDITOR = """
    import json, os, pathlib, sys
    file = pathlib.Path(sys.argv[2])
    seen = {"mode": file.stat().st_mode & 0o777, "folder": file.parent.stat().st_mode & 0o777,
            "file": str(file), "environment": dict(os.environ)}
    pathlib.Path(sys.argv[1]).write_text(json.dumps(seen))
    (file.parent / "secrets.env~").write_text(file.read_text())  # a backup, as editors make
    text = file.read_text()
    exec(os.environ.get("LC_ALL", ""))
    file.write_text(text)
"""


@pytest.fixture
def filled(age_store: AgeStore) -> AgeStore:
    """An age file with two secrets."""
    age_store.add("session_secret", Secret("session-0123456789-abcdefghijklmnop"))
    age_store.add("smtp_password", Secret('with spaces, "quotes" and $igns'))
    return age_store


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Makes an editor that runs a line of Python over the text."""
    monkeypatch.setenv("METACHAT_CANARY", "not for editors")

    def made(line: str) -> list[str]:
        # One of the few variables that an editor is given carries the line.
        monkeypatch.setenv("LC_ALL", line)
        return [sys.executable, "-c", textwrap.dedent(EDITOR), str(tmp_path / "seen.json")]

    return made


def never(refusal: StoreRefusal) -> bool:
    """Don't edit again."""
    return False


def left() -> list[Path]:
    """What lies in memory of edits."""
    return list(handing.MEMORY.glob("metachat-edit-*"))


def test_what_changed_is_saved_and_nothing_is_left(
    filled: AgeStore, editor: Callable[[str], list[str]], tmp_path: Path
) -> None:
    changed = editing.edit(filled, "development", editor("text = text.replace('quotes', 'others')"), never)
    assert changed == ["smtp_password"]
    assert filled.get("smtp_password") == Secret('with spaces, "others" and $igns')
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert (seen["mode"], seen["folder"]) == (0o600, 0o700)
    assert seen["file"].startswith("/dev/shm/")
    assert "METACHAT_CANARY" not in seen["environment"]
    assert left() == []


def test_leaving_it_as_it_is_changes_nothing(filled: AgeStore, editor: Callable[[str], list[str]]) -> None:
    before = filled.path.read_bytes()
    assert editing.edit(filled, "development", editor(""), never) == []
    assert filled.path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("text += 'METACHAT_SESION_SECRET=' + 'x' * 40", UnfitName),
        ("text = text.replace('session-0123456789-abcdefghijklmnop', 'short')", UnfitValue),
        ("text += 'a line that is none'", UnfitValue),
        ("raise SystemExit(3)", UnfitValue),
    ],
)
def test_what_would_not_start_is_not_saved(
    line: str, refusal: type[StoreRefusal], filled: AgeStore, editor: Callable[[str], list[str]]
) -> None:
    before = filled.path.read_bytes()
    with pytest.raises(refusal):
        editing.edit(filled, "development", editor(line), never)
    assert filled.path.read_bytes() == before
    assert left() == []


def test_a_second_try_starts_from_what_was_typed(
    filled: AgeStore, editor: Callable[[str], list[str]]
) -> None:
    said: list[str] = []

    def again(refusal: StoreRefusal) -> bool:
        said.append(refusal.found)
        return len(said) == 1

    line = "text = text.replace('short', 'long-enough-0123456789-0123456789abc')"
    first = "text = text.replace('session-0123456789-abcdefghijklmnop', 'short')"
    both = f"{line} if 'short' in text else {first.removeprefix('text = ')}"
    assert editing.edit(filled, "development", editor(both), again) == ["session_secret"]
    assert filled.get("session_secret") == Secret("long-enough-0123456789-0123456789abc")
    assert len(said) == 1


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    filled: AgeStore, editor: Callable[[str], list[str]], tmp_path: Path
) -> None:
    other = (
        "from metachat.operations.secrets.stores.age import AgeStore;"
        "from metachat.foundation.settings import Secret;"
        f"AgeStore(pathlib.Path('{filled.path}'), pathlib.Path('{filled.identity}'))"
        ".put('smtp_password', Secret('of somebody else'));"
        "text = text.replace('quotes', 'others')"
    )
    with pytest.raises(UnfitValue, match="meanwhile"):
        editing.edit(filled, "development", editor(other), never)
    assert filled.get("smtp_password") == Secret("of somebody else")
