"""What the archive, backups and drills note beside each other, and what a drill takes for a loss."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from metachat.operations.backups import rows
from metachat.operations.backups.manifest import Counted
from metachat.operations.backups.memory import recall, remember

TIMES = 40


def note(folder: Path, name: str) -> None:
    """Change one thing many times."""
    for number in range(1, TIMES + 1):
        remember(folder, **{name: number if name == "waiting" else f"{name} {number}"})


def test_nothing_that_processes_note_at_once_is_lost(tmp_path: Path) -> None:
    names = ("waiting", "shipped", "backup_id", "drill_verdict")
    with ProcessPoolExecutor(len(names)) as at_once:
        list(at_once.map(partial(note, tmp_path), names))
    kept = recall(tmp_path)
    assert (kept.waiting, kept.shipped) == (TIMES, f"shipped {TIMES}")
    assert (kept.backup_id, kept.drill_verdict) == (f"backup_id {TIMES}", f"drill_verdict {TIMES}")


def test_work_that_is_done_and_limits_that_are_not_logged_are_no_loss() -> None:
    before = {"messages": 1000, "documents": 10, "jobs": 200, "paces": 3, "rate_levels": 5}
    expected = rows.side_by_side(before, before)
    assert rows.lacking(expected, {**before, "jobs": 0, "paces": 0, "rate_levels": 0}) == []
    assert rows.lacking({"jobs": Counted(5, 5)}, {}) == []
    assert rows.lacking(expected, {**before, "messages": 899}) == ["messages has 899 of at least 1000 rows"]
    without_documents = {name: number for name, number in before.items() if name != "documents"}
    assert rows.lacking(expected, without_documents) == ["documents has none of at least 10 rows"]
