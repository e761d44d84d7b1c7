"""What `metachat secrets scan` finds in files and in their history, and what it leaves alone."""

import json
import os
import secrets
import subprocess
from pathlib import Path

import pytest
from tests import commands

from metachat.operations.leaks.judging import judge
from metachat.operations.leaks.model import Source

# Made anew for each run: a real-looking value in a test would itself be a finding.
VALUE = secrets.token_urlsafe(32)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    ran = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def commit(folder: Path, name: str, content: str | None) -> str:
    file = folder / name
    if content is None:
        file.unlink()
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600)
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


def scan(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    ran = commands.run("secrets", "scan", *arguments, env=os.environ, cwd=folder)
    assert VALUE not in ran.stdout + ran.stderr
    return ran


def found(folder: Path, *arguments: str) -> list[tuple[str, int, str]]:
    ran = scan(folder, "--json", *arguments)
    told = json.loads(ran.stdout)["findings"]
    assert ran.returncode == (1 if told else 0), ran.stderr
    return [(one["path"], one["line"], one["rule"]) for one in told]


def test_a_secret_that_was_deleted_is_found_in_history_alone(repository: Path) -> None:
    at = commit(repository, "deploy/.env.production", f"PORT=80\nSESSION_SECRET={VALUE}\n")
    commit(repository, "deploy/.env.production", None)
    commit(repository, "README.md", "hello\n")
    assert found(repository) == []
    ran = scan(repository, "--history", "--json")
    assert ran.returncode == 1
    told = json.loads(ran.stdout)["findings"]
    assert ("deploy/.env.production", 2, at, "env-file") in {
        (one["path"], one["line"], one["commit"], one["rule"]) for one in told
    }
    assert at[:12] in scan(repository, "--history").stdout


def test_a_secret_on_another_branch_is_found(repository: Path) -> None:
    commit(repository, "README.md", "hello\n")
    git(repository, "checkout", "-q", "-b", "side")
    commit(repository, "app.yaml", f"database:\n  password: {VALUE}\n")
    git(repository, "checkout", "-q", "main")
    assert ("app.yaml", 2, "secret-by-name") in found(repository, "--history")


# Named by their places: the values differ from one process that runs these tests to the next.
LEAKS = [
    (".env", f"API_KEY_PEPPER={VALUE}", "env-file"),
    ("prod.env", f"export STRIPE_SECRET='{VALUE}'", "env-file"),
    (".env.local", f"SOMETHING={VALUE}9", "random-value"),
    ("ecosystem.config.js", f"  JWT_SECRET: '{VALUE}',", "secret-by-name"),
    ("server.ts", f"const key = process.env.ENCRYPTION_KEY || '{VALUE}';", "default-in-code"),
    ("settings.py", f'KEY = os.environ.get("API_TOKEN", "{VALUE}")', "default-in-code"),
    ("start.sh", f'PASS="${{DB_PASSWORD:-{VALUE}}}"', "default-in-code"),
    ("notes.md", f"postgres://shop:{VALUE}@db.internal/shop", "password-in-address"),
    ("values.json", f'"clientSecret": "{VALUE}",', "secret-by-name"),
    ("id_rsa", "-----BEGIN OPENSSH PRIVATE " + "KEY-----", "private-key"),
    ("notes.txt", "token: gh" + "p_" + secrets.token_hex(20), "github-token"),
    ("notes.txt", "AKI" + "A" + "QYLPMN5HFIQR7XYA", "aws-access-key"),
    ("key.txt", "AGE-SECRET-" + "KEY-1" + "QPZRY9X8GF" * 5 + "QPZRY9X8", "age-identity"),
]  # fmt: skip

CLEAN = [
    (".env.example", "SESSION_SECRET=change-me"),
    ("app.yaml", "password: ${DB_PASSWORD}"),
    ("app.yaml", "password: your-password-here"),
    ("app.yaml", "secret_name: session"),
    ("server.ts", "const secret = process.env.SESSION_SECRET;"),
    ("settings.py", "password: str"),
    ("settings.py", "token = request.headers['authorization']"),
    ("requirements.lock", "    --hash=sha256:" + secrets.token_hex(32)),
    ("texts.toml", 'password = "New password"'),
    ("notes.md", "postgresql://role@host/database"),
    ("unit.service", "LoadCredential=session_secret:/etc/metachat/credentials/session_secret"),
]


@pytest.mark.parametrize("place", range(len(LEAKS)))
def test_each_way_of_leaking_is_told_by_its_rule(place: int) -> None:
    name, line, rule = LEAKS[place]
    told = list(judge(Source(name, 2, line)))
    assert rule in {leak.rule for leak in told}
    assert VALUE not in repr(told)


@pytest.mark.parametrize("place", range(len(CLEAN)))
def test_what_is_no_secret_is_left_alone(place: int) -> None:
    name, line = CLEAN[place]
    assert list(judge(Source(name, 2, line))) == []


def test_an_env_file_that_git_keeps_or_others_may_read_is_told(repository: Path) -> None:
    commit(repository, ".env", "PORT=80\n")
    (repository / ".env").chmod(0o644)
    assert {rule for _, _, rule in found(repository)} == {"env-file-tracked", "env-file-open"}


def test_what_is_accepted_stays_quiet_and_anything_new_is_told(repository: Path) -> None:
    commit(repository, "app.yaml", f"password: {VALUE}\n")
    assert scan(repository, "--write-baseline").returncode == 0
    assert VALUE not in (repository / ".leaks-baseline.json").read_text()
    assert found(repository) == []
    commit(repository, "app.yaml", f"password: {VALUE}\ntoken: {secrets.token_urlsafe(24)}\n")
    assert found(repository) == [("app.yaml", 2, "secret-by-name")]


def test_a_sarif_log_names_rule_and_place(repository: Path) -> None:
    commit(repository, "app.yaml", f"password: {VALUE}\n")
    log = json.loads(scan(repository, "--sarif").stdout)
    (result,) = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"]) == ("secret-by-name", "app.yaml")
    assert place["region"]["startLine"] == 1


def test_a_folder_without_git_is_searched_and_has_no_history(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text(f"password: {VALUE}\n")
    assert found(tmp_path) == [("app.yaml", 1, "secret-by-name")]
    ran = scan(tmp_path, "--history")
    assert ran.returncode not in (0, 1)
    assert "no Git repository" in ran.stderr


def test_a_path_that_is_not_there_and_a_broken_baseline_are_refused(tmp_path: Path) -> None:
    assert "no such file" in scan(tmp_path, "absent").stderr
    (tmp_path / "base.json").write_text("{")
    assert "baseline" in scan(tmp_path, "--baseline", "base.json").stderr
