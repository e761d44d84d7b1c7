"""`metachat secrets` as an operator uses it: prompts, exit codes, and no value where none belongs."""

import inspect
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import commands

from metachat.cli.secrets import app, recipients
from metachat.operations import age, journal


class Shell:
    """A shell whose settings name a data folder and a store."""

    def __init__(self, data: Path, store: str = "") -> None:
        self.data = data
        kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
        self.environment = {**kept, "METACHAT_DATA_DIR": str(data), "METACHAT_SECRETS_STORE": store}

    def run(self, *argv: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a verb with something on standard input."""
        return commands.run("secrets", *argv, env=self.environment, given=given)

    def told(self, *argv: str, given: str = "") -> Any:
        """What a verb tells programs."""
        done = self.run(*argv, "--json", given=given)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def on_terminal(self, *argv: str) -> tuple[int, str]:
        """Run a verb whose output is a terminal; its exit code and what stood there."""
        ours, theirs = pty.openpty()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "metachat", "secrets", *argv],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, check=False,
            )  # fmt: skip
            os.write(theirs, b".")  # so that there is always something to read
            return done.returncode, os.read(ours, 1 << 16).decode()
        finally:
            os.close(ours)
            os.close(theirs)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell without a store of its own: the data folder's file."""
    return Shell(tmp_path)


@pytest.fixture
def sealed(tmp_path: Path) -> Shell:
    """A shell with an age file."""
    return Shell(tmp_path, f"age:{tmp_path}/repo/secrets.age")


def test_generate_makes_all_once_and_tells_no_value(sealed: Shell, tmp_path: Path) -> None:
    refused = sealed.run("generate")
    assert refused.returncode == 65
    assert "--recovery-file" in refused.stderr
    done = sealed.run("generate", "--recovery-file", str(tmp_path / "safe.key"), "--database", "db/metachat")
    assert done.returncode == 0
    values = {one["name"]: sealed.told("get", one["name"])["value"] for one in sealed.told("list")}
    assert len(values) == 8
    assert len(set(values.values())) == 8
    assert not any(value in done.stdout + done.stderr for value in values.values())
    assert (tmp_path / "safe.key").stat().st_mode & 0o777 == 0o600
    again = sealed.told("generate", "--database", "elsewhere/metachat")
    assert again["made"] == []
    assert {name: sealed.told("get", name)["value"] for name in values} == values
    assert sealed.told("doctor", "--offline")["passed"]


def test_a_value_comes_from_standard_input_or_a_file_and_is_judged(shell: Shell, tmp_path: Path) -> None:
    assert shell.told("set", "smtp_password", given="of the provider\n") == {
        "name": "smtp_password",
        "set": True,
    }
    assert shell.run("get", "smtp_password").stdout == "of the provider\n"
    (tmp_path / "value").write_text("from a file\n")
    assert shell.run("set", "smtp_password", "--from-file", str(tmp_path / "value")).returncode == 0
    assert shell.run("get", "smtp_password").stdout == "from a file\n"
    short = shell.run("set", "session_secret", given="too short")
    assert short.returncode == 65
    assert "32 bytes" in short.stderr
    assert "too short" not in short.stderr
    unknown = shell.run("set", "smtp_pasword", given="x")
    assert "Did you mean smtp_password?" in unknown.stderr
    absent = shell.run("set", "smtp_password", "--from-file", str(tmp_path / "nowhere"))
    assert absent.returncode == 66
    assert "Traceback" not in absent.stderr


def test_get_is_not_for_terminals_unless_asked_and_the_journal_notes_it(shell: Shell) -> None:
    shell.run("set", "smtp_password", given="of the provider")
    code, stood = shell.on_terminal("get", "smtp_password")
    assert code == 65
    assert "of the provider" not in stood
    assert "--reveal" in stood
    code, stood = shell.on_terminal("get", "smtp_password", "--reveal")
    assert code == 0
    assert "of the provider" in stood
    assert shell.run("get", "session_secret").returncode == 66
    noted = [(entry.what, entry.about, entry.result) for entry in journal.entries(shell.data)]
    assert noted == [
        ("secrets.set", "smtp_password", "ok"),
        ("secrets.get", "smtp_password", "on_terminal"),
        ("secrets.get", "smtp_password", "ok"),
        ("secrets.get", "session_secret", "secret_missing"),
    ]
    assert "of the provider" not in (shell.data / journal.FILE).read_text()


def test_list_and_fingerprint_show_no_values(shell: Shell) -> None:
    shell.run("generate")
    shell.run("set", "smtp_password", given="of the provider")
    listed = {one["name"]: one for one in shell.told("list")}
    assert listed["smtp_password"]["length"] == len("of the provider")
    assert listed["smtp_password"]["fingerprint"] == ""  # it could be guessed at
    assert listed["session_secret"]["days"] == 0
    fingerprints = shell.told("fingerprint")
    assert set(fingerprints) == {
        "session_secret", "api_key_pepper", "encryption_key", "cli_token", "metrics_token",
    }  # fmt: skip
    assert fingerprints["session_secret"].startswith(listed["session_secret"]["fingerprint"])
    values = [shell.told("get", name)["value"] for name in listed]
    said = shell.run("list").stdout + shell.run("fingerprint").stdout + shell.run("doctor").stdout
    assert not any(value in said for value in values)


def test_the_seeds_env_file_moves_into_a_store(sealed: Shell, tmp_path: Path) -> None:
    sealed.run("generate", "--recovery-file", str(tmp_path / "safe.key"))
    env = tmp_path / ".env.production"
    env.write_text(
        "# production\nMETACHAT_PORT=8080\nMETACHAT_SMTP_PASSWORD='of the provider'\n"
        "METACHAT_SESSION_SECRET=another-0123456789-0123456789-0123456789\nMETACHAT_EMBEDDER_KEY=\nNODE_ENV=production\n"
    )
    told = sealed.told("import", "--env-file", str(env))
    assert told["smtp_password"] == "imported"
    assert told["session_secret"] == "kept"  # what is there is not overwritten
    assert told["embedder_key"].startswith("unfit")
    assert told["METACHAT_PORT"] == told["NODE_ENV"] == "other"
    assert sealed.run("get", "smtp_password").stdout == "of the provider\n"


def test_export_copies_and_overwrites_nothing(shell: Shell, tmp_path: Path) -> None:
    shell.run("generate")
    target = f"file:{tmp_path}/other.env"
    assert set(shell.told("export", "--to", target).values()) == {"copied"}
    other = Shell(tmp_path, target)
    assert other.told("fingerprint") == shell.told("fingerprint")
    shell.run("rotate", "cli_token")
    assert shell.told("export", "--to", target)["cli_token"] == "kept"


def test_rotate_replaces_what_can_be_and_refuses_the_rest(shell: Shell) -> None:
    shell.run("generate")
    before = shell.told("fingerprint")
    assert "next start" in shell.run("rotate", "cli_token").stdout
    after = shell.told("fingerprint")
    assert {name for name in after if after[name] != before[name]} == {"cli_token"}
    assert shell.run("rotate", "smtp_password").returncode == 65


def test_recipients_come_and_go(sealed: Shell, tmp_path: Path) -> None:
    sealed.run("generate", "--recovery-file", str(tmp_path / "safe.key"))
    listed = sealed.told("recipients", "list")
    assert set(listed) == {"server", "recovery"}
    assert sealed.run("recipients", "remove", "recovery").returncode == 65
    assert sealed.run("recipients", "add", "laptop", "no key at all").returncode == 65
    laptop = age.public(age.new_identity())
    assert sealed.run("recipients", "add", "laptop", laptop).returncode == 0
    assert sealed.told("recipients", "list") == {**listed, "laptop": laptop}
    assert "rotate" in sealed.run("recipients", "remove", "laptop").stdout
    assert sealed.told("recipients", "list") == listed


def test_escrow_is_made_verified_and_brings_a_lost_server_back(sealed: Shell, tmp_path: Path) -> None:
    key, bundle = tmp_path / "safe.key", tmp_path / "bundle.age"
    sealed.run("generate", "--recovery-file", str(key))
    made = sealed.told("escrow", "--out", str(bundle), "--identity", str(key))
    assert made["verified"]
    assert sealed.run("escrow", "--out", str(bundle)).returncode == 77  # a bundle is never overwritten
    fingerprints = sealed.told("fingerprint")
    new = Shell(tmp_path / "new server")
    assert new.run("generate").returncode == 0
    opened = new.told("escrow", "--open", str(bundle), "--identity", str(key))
    assert set(opened["secrets"].values()) == {"other"}
    back = f"file:{tmp_path}/back.env"
    restored = new.told("escrow", "--open", str(bundle), "--identity", str(key), "--to", back)
    assert set(restored["secrets"].values()) == {"restored"}
    assert Shell(tmp_path, back).told("fingerprint") == fingerprints


def test_escrow_by_a_passphrase_in_a_file(shell: Shell, tmp_path: Path) -> None:
    shell.run("generate")
    words = tmp_path / "words"
    words.write_text("correct horse battery staple\n")
    assert (
        shell.run("escrow", "--out", str(tmp_path / "b.age"), "--passphrase-file", str(words)).returncode
        == 77
    )
    words.chmod(0o600)
    done = shell.told("escrow", "--out", str(tmp_path / "b.age"), "--passphrase-file", str(words))
    assert done["verified"]
    opened = shell.told("escrow", "--open", str(tmp_path / "b.age"), "--passphrase-file", str(words))
    assert set(opened["secrets"].values()) == {"same"}
    assert shell.run("escrow", "--out", str(tmp_path / "c.age")).returncode == 65  # for nobody


def test_doctor_exits_with_1_when_something_is_to_be_done(shell: Shell) -> None:
    shell.run("generate", "--database", "db/metachat")
    found = shell.run("doctor", "--offline", "--json")
    assert found.returncode == 1
    told = json.loads(found.stdout)
    assert not told["passed"]
    assert [one["name"] for one in told["findings"] if not one["passed"]] == ["recovery possible"]
    assert all(one["fix"] for one in told["findings"] if not one["passed"])


def test_a_store_that_is_not_there_is_one_sentence_and_a_next_move(tmp_path: Path) -> None:
    shell = Shell(tmp_path, "vault:https://127.0.0.1:9/secret/metachat?token_file=/nonexistent")
    done = shell.run("list")
    assert done.returncode == 77
    assert "There is no /nonexistent" in done.stderr
    assert Shell(tmp_path, "sops:/x").run("list").returncode == 78


def test_every_help_shows_an_example() -> None:
    groups = {"": app, "recipients ": recipients.app}
    for prefix, group in groups.items():
        for command in group.registered_commands:
            shown = inspect.getdoc(command.callback) or ""
            assert f"metachat secrets {prefix}{command.name}" in shown.partition("Examples:")[2]
