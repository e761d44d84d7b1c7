"""`metachat config` as a person, and a build, run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.config.conftest import accepted, write

from metachat.cli import config


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in an environment without settings."""
    return subprocess.run(
        [sys.executable, "-m", "metachat", "config", *arguments],
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_build_reads_json_and_the_exit_code(tmp_path: Path) -> None:
    good = write(tmp_path / "good.env", accepted())
    told = run("check", "--env-file", str(good), "--production", "--json")
    assert (told.returncode, json.loads(told.stdout), told.stderr) == (0, {"problems": []}, "")
    bad = write(tmp_path / "bad.env", accepted() | {"METACHAT_SESSION_SECRET": "change-me"})
    told = run("check", "--env-file", str(bad), "--production", "--json")
    assert told.returncode == 78
    assert [problem["name"] for problem in json.loads(told.stdout)["problems"]] == ["METACHAT_SESSION_SECRET"]
    assert told.stderr == ""


def test_a_person_reads_sentences(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.env", accepted() | {"METACHAT_DEBUG": "true", "METACHAT_PORT": "x"})
    told = run("check", "--env-file", str(bad), "--production")
    assert (told.returncode, told.stdout) == (78, "")
    assert told.stderr.startswith("The configuration has 2 problems:")
    assert "METACHAT_DEBUG\n  is on in production\n" in told.stderr


def test_what_the_worker_would_miss_is_said_without_being_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = accepted()
    del values["METACHAT_WORKER_DATABASE_URL"]
    file = str(write(tmp_path / "site.env", values))
    assert config.run(["check", "--env-file", file, "--production"]) == 0
    assert "`metachat worker` will want METACHAT_WORKER_DATABASE_URL too" in capsys.readouterr().out
    assert config.run(["check", "--env-file", file, "--production", "--process", "worker"]) == 78


def test_a_wrong_call_is_no_problem_of_the_configuration() -> None:
    assert run("check", "--prod").returncode == 2
    assert run("chekc").returncode == 2
    assert run("explain", "nothing").returncode == 66


def test_help_lists_the_verbs() -> None:
    assert "fix-permissions" in run().stdout
    listed = subprocess.run(
        [sys.executable, "-m", "metachat", "--help"], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert "config" in listed.stdout


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    file = write(tmp_path / "site.env", accepted())
    told = subprocess.run(
        [sys.executable, "-c", "import sys\nfrom metachat.cli import config\n"
         f"config.run(['check', '--env-file', {str(file)!r}, '--production'])\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    heavy = {
        "typer",
        "asyncpg",
        "asyncio",
        "pydantic",
        "msgspec",
        "litestar",
        "structlog",
        "cryptography",
        "ssl",
    }
    assert heavy & set(told.stdout.split()) == set()
