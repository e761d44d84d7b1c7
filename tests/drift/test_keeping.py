"""What is kept of comparisons and of servers' first days, on the operator's machine."""

import json
from pathlib import Path

import pytest

from metachat.operations import journal
from metachat.operations.drift import background, results, selfcheck
from metachat.operations.drift.model import Background, Finding, Item

KNOWN = Background(at="2026-11-01T00:00:00+00:00", facts=[("package", "htop", "installed")])


def finding(what: str = "file") -> Finding:
    """A difference."""
    return Finding(what=what, where="/etc/x", expected="", found="sha256 1", fix="metachat provision")


def test_a_background_is_kept_for_its_owner_alone_and_named_in_the_journal(tmp_path: Path) -> None:
    background.keep(tmp_path, "alpha", KNOWN)
    assert background.kept(tmp_path, "alpha") == KNOWN
    assert background.file(tmp_path, "alpha").stat().st_mode & 0o777 == 0o600
    assert [entry.about.split()[0] for entry in journal.entries(tmp_path)] == ["alpha"]
    assert background.kept(tmp_path, "beta") is None


def test_a_background_changed_by_hand_is_refused(tmp_path: Path) -> None:
    background.keep(tmp_path, "alpha", KNOWN)
    path = background.file(tmp_path, "alpha")
    path.write_text(path.read_text().replace("htop", "nmap"))
    with pytest.raises(background.BackgroundChanged):
        background.kept(tmp_path, "alpha")


def test_keeping_the_same_twice_says_nothing_new(tmp_path: Path) -> None:
    background.keep(tmp_path, "alpha", KNOWN)
    background.keep(tmp_path, "alpha", KNOWN)
    assert len(journal.entries(tmp_path)) == 1


def test_what_is_accepted_joins_and_what_is_gone_leaves(tmp_path: Path) -> None:
    more = background.accepted(KNOWN, Item("file", "/etc/x"), "sha256 1")
    assert Item("file", "/etc/x") in more.as_facts()
    assert background.accepted(more, Item("file", "/etc/x"), "") == KNOWN


def test_results_of_several_servers_are_counted_together(tmp_path: Path) -> None:
    results.keep(tmp_path, "alpha", results.compared([finding(), finding()]))
    results.keep(tmp_path, "beta", results.compared([finding()]))
    told = json.loads((tmp_path / results.FILE).read_text())
    assert (told["count"], told["ok"]) == (3, True)
    results.keep(tmp_path, "alpha", results.compared([]))
    assert json.loads((tmp_path / results.FILE).read_text())["count"] == 1


def test_a_comparison_that_could_not_see_everything_is_not_well(tmp_path: Path) -> None:
    results.keep(tmp_path, "alpha", results.compared([]))
    well = results.read(tmp_path)
    results.keep(tmp_path, "alpha", results.compared([finding("inventory")]))
    now = results.read(tmp_path)
    assert well is not None
    assert now is not None
    assert (now.ok, now.ok_at) == (False, well.ok_at)


def test_a_link_laid_in_the_way_of_the_result_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / results.FILE).symlink_to(victim)
    results.keep(tmp_path, "alpha", results.compared([]))
    assert victim.read_text() == "whole"
    assert not (tmp_path / results.FILE).is_symlink()


def test_a_machine_that_was_never_provisioned_says_so(tmp_path: Path) -> None:
    with pytest.raises(selfcheck.NothingExpected):
        selfcheck.check(tmp_path, tmp_path / "expected.json")
