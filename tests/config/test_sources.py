"""Where values come from: which source wins, and that a file is judged alone."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from tests.config.conftest import Judge, accepted, write

from metachat.cli import config
from metachat.foundation import settings
from metachat.foundation.settings import InvalidSettings
from metachat.operations.config.show import DOTS


def key() -> str:
    """A key, new at each call."""
    return secrets.token_urlsafe(32)


def session_secret(environment: dict[str, str]) -> str:
    """What the api would sign with."""
    found = settings.load(environment, "cli").session_secret
    assert found is not None
    return found.reveal()


def test_the_environment_wins_then_a_named_file_then_a_credential_then_the_data_folder(
    tmp_path: Path,
) -> None:
    by_environment, by_file, by_credential, by_folder = key(), key(), key(), key()
    settings.write_secrets(tmp_path, {"session_secret": by_folder})
    environment = {"METACHAT_DATA_DIR": str(tmp_path)}
    assert session_secret(environment) == by_folder
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "session_secret").write_text(by_credential)
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    assert session_secret(environment) == by_credential
    (tmp_path / "key").write_text(f"{by_file}\r\n")
    environment["METACHAT_SESSION_SECRET_FILE"] = str(tmp_path / "key")
    assert session_secret(environment) == by_file
    del environment["METACHAT_SESSION_SECRET_FILE"]
    assert session_secret(environment | {"METACHAT_SESSION_SECRET": by_environment}) == by_environment


def test_an_empty_value_is_none(tmp_path: Path) -> None:
    settings.write_secrets(tmp_path, {"session_secret": key()})
    environment = {"METACHAT_DATA_DIR": str(tmp_path), "METACHAT_SESSION_SECRET": "", "METACHAT_PORT": ""}
    assert len(session_secret(environment)) == 43
    assert settings.load(environment).port == 8080


def test_a_value_beside_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(key())
    environment = {
        "METACHAT_DATA_DIR": str(tmp_path),
        "METACHAT_SESSION_SECRET": key(),
        "METACHAT_SESSION_SECRET_FILE": str(tmp_path / "key"),
    }
    with pytest.raises(InvalidSettings, match="METACHAT_SESSION_SECRET_FILE: is given beside"):
        settings.load(environment)


@pytest.mark.parametrize("path", ["absent", "folder", "large"])
def test_a_file_that_cannot_be_read_is_named(path: str, judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(b"k" * 2_000_000)
    values = accepted()
    del values["METACHAT_ENCRYPTION_KEY"]
    given = values | {"METACHAT_ENCRYPTION_KEY_FILE": str(tmp_path / path)}
    assert judge(given, "--production").names == {"METACHAT_ENCRYPTION_KEY_FILE", "METACHAT_ENCRYPTION_KEY"}


def test_a_file_is_judged_alone(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    settings.write_secrets(data, {"session_secret": "short", "unheard_of": "x"})
    (data / "secrets.env").chmod(0o644)
    values = accepted()
    for name, value in {
        "METACHAT_DATA_DIR": str(data), "METACHAT_PORT": "none", "METACHAT_UNHEARD": "of",
        "METACHAT_PRODUCTION": "true", "METACHAT_SESSION_SECRET_FILE": "/nowhere",
        "METACHAT_ENCRYPTION_KEY": values["METACHAT_ENCRYPTION_KEY"],
        "CREDENTIALS_DIRECTORY": str(data),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert judge(values, "--production").problems == []
    # Nor does what lies around a file fill in what it lacks, or make it one of production.
    del values["METACHAT_ENCRYPTION_KEY"]
    assert judge(values, "--production").names == {"METACHAT_ENCRYPTION_KEY"}
    assert judge(values).problems == []
    # Without a file, all of that counts.
    assert config.run(["check", "--json"]) == 78
    named = {problem["name"] for problem in json.loads(capsys.readouterr().out)["problems"]}
    assert named >= {
        "METACHAT_PORT",
        "METACHAT_UNHEARD",
        "METACHAT_UNHEARD_OF",
        "METACHAT_SESSION_SECRET_FILE",
    }
    assert str(data / "secrets.env") in named


def test_names_of_others_are_nobody_s_business(judge: Judge) -> None:
    assert (
        judge(accepted() | {"PORT": "x", "DATABASE_URL": "y", "METACHAT_KEY": "mc_x"}, "--production").code
        == 0
    )


@pytest.mark.parametrize("name", ["METCHAT_PORT", "META_CHAT_PORT", "METACHT_PORT", "metachat_port"])
def test_a_slip_in_the_prefix_is_told_in_a_file(name: str, judge: Judge) -> None:
    assert judge({name: "9000"}).of(name)["expected"] == "METACHAT_PORT"
    assert judge({"METABASE_PORT": "1", "MATTERMOST_URL": "2", "MAIL_PORT": "3"}).problems == []


def test_a_pipe_is_as_good_as_a_file(tmp_path: Path) -> None:
    script = (
        f"{sys.executable} -m metachat config check --production --json --env-file <(cat {tmp_path}/site.env)"
    )
    write(tmp_path / "site.env", accepted() | {"METACHAT_DEBUG": "on"})
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 78
    assert [problem["name"] for problem in json.loads(told.stdout)["problems"]] == ["METACHAT_DEBUG"]


def test_bytes_that_are_no_text_are_told_not_stumbled_over(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "metachat", "config", "check", "--json"],
        env={
            b"PATH": b"/usr/bin", b"METACHAT_DATA_DIR": str(tmp_path).encode(),
            b"METACHAT_SMTP_USER": b"\xff\xfe", b"METACHAT_\xff": b"1",
            b"METACHAT_SESSION_SECRET": b"\xff" * 40,
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 78, told.stderr
    named = [problem["name"] for problem in json.loads(told.stdout)["problems"]]
    assert {"METACHAT_SMTP_USER", "METACHAT_\udcff", "METACHAT_SESSION_SECRET"} <= set(named)


def test_a_file_that_is_not_there_is_a_problem(judge: Judge, tmp_path: Path) -> None:
    assert judge(tmp_path / "absent.env").names == {str(tmp_path / "absent.env")}


def test_show_tells_values_and_sources_but_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, told, named = key(), key(), key()
    settings.write_secrets(tmp_path, {"session_secret": kept})
    (tmp_path / "pepper").write_text(named)
    monkeypatch.setenv("METACHAT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("METACHAT_PORT", "9000")
    monkeypatch.setenv("METACHAT_ENCRYPTION_KEY", told)
    monkeypatch.setenv("METACHAT_API_KEY_PEPPER_FILE", str(tmp_path / "pepper"))
    monkeypatch.setenv("METACHAT_PUBLIC_URL", "https://ana:hers-alone@chat.example.com")
    assert config.run(["show", "--json"]) == 0
    output = capsys.readouterr().out
    shown = {one["name"]: one for one in json.loads(output)["settings"]}
    assert shown["METACHAT_PORT"] == {
        "name": "METACHAT_PORT", "value": "9000", "source": "environment", "secret": False,
    }  # fmt: skip
    assert shown["METACHAT_HOST"]["source"] == "default"
    assert shown["METACHAT_SESSION_SECRET"]["value"] == DOTS
    assert shown["METACHAT_SESSION_SECRET"]["source"] == f"file {tmp_path / 'secrets.env'}"
    assert shown["METACHAT_API_KEY_PEPPER"]["source"] == f"file {tmp_path / 'pepper'}"
    assert shown["METACHAT_DATABASE_URL"]["value"] is None
    assert config.run(["show"]) == 0
    output += capsys.readouterr().out
    assert not [secret for secret in (kept, told, named, "hers-alone") if secret in output]


def test_no_secret_shows_in_a_traceback(tmp_path: Path) -> None:
    secret = f"postgresql://chat:{key()}@localhost:port/metachat"
    script = (
        "from metachat.foundation import settings\n"
        "try:\n    settings.load(process='api')\nexcept Exception as e:\n"
        "    import traceback; traceback.print_exc(); print(repr(e), vars(e))\n"
        "    assert e.__context__ is None\n"
        "    raise RuntimeError('while starting') from e\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={
            "PATH": os.environ["PATH"], "METACHAT_DATA_DIR": str(tmp_path), "METACHAT_DATABASE_URL": secret,
            "METACHAT_ENCRYPTION_KEY": "too-short-to-be-a-key", "METACHAT_PRODUCTION": "true",
        },
    )  # fmt: skip
    assert "METACHAT_DATABASE_URL" in told.stderr
    assert "while starting" in told.stderr
    assert secret.split("@")[0].split(":")[2] not in told.stdout + told.stderr
    assert "too-short-to-be-a-key" not in told.stdout + told.stderr


def test_exposed_files_are_told_and_mended(judge: Judge, tmp_path: Path) -> None:
    values = accepted()
    lone = tmp_path / "lone.key"
    lone.write_text(values.pop("METACHAT_SESSION_SECRET"))
    lone.chmod(0o640)
    file = write(tmp_path / "site.env", values | {"METACHAT_SESSION_SECRET_FILE": str(lone)})
    file.chmod(0o604)
    verdict = judge(file, "--production")
    assert verdict.names == {str(file), "METACHAT_SESSION_SECRET_FILE"}
    assert f"chmod 600 {file}" in verdict.of(str(file))["fix"]
    assert f"chmod 600 {lone}" in verdict.of("METACHAT_SESSION_SECRET_FILE")["fix"]
    # A file without secrets may be read by anybody.
    assert (
        judge(
            _open(tmp_path / "open.env", {"METACHAT_PORT": "9000"}), "--production", "--process", "cli"
        ).code
        == 0
    )
    assert config.run(["fix-permissions", "--env-file", str(file), "--json"]) == 0
    assert judge(file, "--production").problems == []
    assert {path.stat().st_mode & 0o777 for path in (file, lone)} == {0o600}


def test_the_data_folder_s_files_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.write_secrets(tmp_path, {"session_secret": key()})
    (tmp_path / "secrets.env").chmod(0o666)
    monkeypatch.setenv("METACHAT_DATA_DIR", str(tmp_path))
    with pytest.raises(InvalidSettings, match="fix-permissions"):
        settings.load()
    assert config.run(["fix-permissions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": [str(tmp_path / "secrets.env")]}
    settings.load()
    assert config.run(["fix-permissions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": []}


def _open(path: Path, values: dict[str, str]) -> Path:
    write(path, values).chmod(0o644)
    return path
