"""The command line where nothing runs: one sentence, the next move, and the exit code of an absent service."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "arguments",
    [["ask", "How long?"], ["knowledge", "list"], ["tenants", "list"], ["status"], ["down"]],
    ids=lambda arguments: arguments[0],
)
def test_it_says_that_nothing_runs_and_exits_with_69(arguments: list[str], tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "metachat", *arguments],
        env={**os.environ, "METACHAT_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 69
    assert "start it with `metachat up`" in told.stderr


@pytest.mark.parametrize("command", ["ask", "up", "knowledge add", "keys create", "user create"])
def test_help_shows_an_example(command: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "metachat", *command.split(), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"    metachat {command} " in shown.stdout
