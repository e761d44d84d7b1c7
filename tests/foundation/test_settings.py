"""Settings: everything that is wrong is told at once, and a secret never shows itself."""

from pathlib import Path

import pytest

from metachat.foundation import settings

GOOD = {
    "METACHAT_DATABASE_URL": "postgresql://a@localhost/m",
    "METACHAT_WORKER_DATABASE_URL": "postgresql://w@localhost/m",
    "METACHAT_SESSION_SECRET": "s" * 40,
    "METACHAT_API_KEY_PEPPER": "p" * 40,
    "METACHAT_ENCRYPTION_KEY": "e" * 40,
}


def test_defaults_need_no_file(tmp_path: Path) -> None:
    loaded = settings.load({"METACHAT_DATA_DIR": str(tmp_path)}, "cli")
    assert (loaded.port, loaded.host, loaded.database_url) == (8080, "127.0.0.1", None)


def test_all_problems_come_at_once_and_no_secret_is_shown(tmp_path: Path) -> None:
    broken = {
        **GOOD,
        "METACHAT_DATA_DIR": str(tmp_path),
        "METACHAT_PORT": "seventy",
        "METACHAT_SESSION_SECRET": "tooshort",
        "METACHAT_LOG_FORMAT": "xml",
        "METACHAT_PUBLIC_URL": "ftp://shop",
        "METACHAT_ALLOWED_NETWORKS": "10.0.0.0/8, somewhere",
    }
    del broken["METACHAT_DATABASE_URL"]
    with pytest.raises(settings.InvalidSettings) as refused:
        settings.load(broken, "api")
    assert {problem.name for problem in refused.value.problems} == {
        "METACHAT_PORT",
        "METACHAT_SESSION_SECRET",
        "METACHAT_LOG_FORMAT",
        "METACHAT_PUBLIC_URL",
        "METACHAT_ALLOWED_NETWORKS",
        "METACHAT_DATABASE_URL",
    }
    assert "tooshort" not in str(refused.value)


def test_a_process_needs_only_what_it_reads(tmp_path: Path) -> None:
    environment = {**GOOD, "METACHAT_DATA_DIR": str(tmp_path)}
    for unneeded in ("METACHAT_DATABASE_URL", "METACHAT_SESSION_SECRET"):
        del environment[unneeded]
    assert settings.load(environment, "worker").worker_database_url is not None


def test_secrets_come_from_the_data_folder_and_the_environment_wins(tmp_path: Path) -> None:
    settings.write_secrets(tmp_path, {"session_secret": "f" * 40, "port": "9000"})
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    loaded = settings.load({"METACHAT_DATA_DIR": str(tmp_path), "METACHAT_PORT": "9001"}, "cli")
    assert loaded.session_secret is not None
    assert loaded.session_secret.reveal() == "f" * 40
    assert loaded.port == 9001


def test_a_secrets_file_that_others_may_read_is_refused_with_the_mend(tmp_path: Path) -> None:
    settings.write_secrets(tmp_path, {"session_secret": "f" * 40})
    (tmp_path / "secrets.env").chmod(0o644)
    with pytest.raises(settings.InvalidSettings, match="chmod 600"):
        settings.load({"METACHAT_DATA_DIR": str(tmp_path)}, "cli")


def test_a_secret_shows_dots_only() -> None:
    secret = settings.Secret("very private")
    assert "private" not in f"{secret} {secret!r} {[secret]}"


def test_every_declared_setting_has_a_field_and_a_sentence() -> None:
    assert set(settings.DECLARED) == set(settings.Settings.__dataclass_fields__)
    assert all(declared.sentence.endswith(".") for declared in settings.DECLARED.values())
