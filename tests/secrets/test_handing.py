"""How secrets reach processes: as files in memory; in no environment, and in no argument."""

import json
import os
import stat
from pathlib import Path

import psutil
import pytest
from tests.local.conftest import Up
from typing_extensions import override

from metachat.foundation.settings import Secret, load
from metachat.operations.local.start import OwnDatabase
from metachat.operations.secrets import Place, handing, identities, open_store
from metachat.operations.secrets.stores.age import AgeStore


@pytest.fixture
def folder(tmp_path: Path):
    """A folder in memory that does not exist yet."""
    chosen = handing.default_folder(tmp_path)
    yield chosen
    handing.clear(chosen)


def test_files_are_in_memory_and_for_their_owner_only(folder: Path) -> None:
    handing.write({"session_secret": Secret("s" * 43), "api_key_pepper": Secret("p" * 43)}, folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "session_secret": 0o600,
        "api_key_pepper": 0o600,
    }
    handing.write({"session_secret": Secret("t" * 43)}, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"session_secret": "t" * 43}


def test_the_settings_read_them(folder: Path, tmp_path: Path) -> None:
    names = ("session_secret", "api_key_pepper", "encryption_key", "cli_token")
    values = {name: Secret(f"{name}-0123456789abcdefghijklmnopqrstuv") for name in names}
    handing.write(
        {**values, "database_url": Secret("postgresql://metachat_app:pw@localhost/metachat")}, folder
    )
    environ = handing.environment_with(
        folder, {"METACHAT_DATA_DIR": str(tmp_path), "METACHAT_SESSION_SECRET": "of-the-environment" * 3}
    )
    assert "METACHAT_SESSION_SECRET" not in environ
    assert load(environ, process="api").session_secret == values["session_secret"]


def test_what_the_environment_has_comes_before_the_store(folder: Path, tmp_path: Path) -> None:
    store = open_store(Place(f"file:{tmp_path}/kept.env", tmp_path, {}))
    store.add("session_secret", Secret("s" * 43))
    store.add("api_key_pepper", Secret("p" * 43))
    store.add("cli_token", Secret("c" * 43))  # stays where this machine's command line finds its own
    environ = {"METACHAT_SESSION_SECRET": "e" * 43, "METACHAT_SECRETS_STORE": store.address}
    names = handing.hand(Place(store.address, tmp_path, environ), folder)
    assert names == ["api_key_pepper", "session_secret"]
    assert (folder / "session_secret").read_text() == "e" * 43


def test_a_folder_on_a_disk_or_of_somebody_else_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(handing.NotInMemory):
        handing.write({"session_secret": Secret("s" * 43)}, Path("/proc/metachat"))
    folder.mkdir(mode=0o755)
    with pytest.raises(handing.NotPrivate, match="700"):
        handing.write({"session_secret": Secret("s" * 43)}, folder)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises((handing.NotPrivate, handing.NotInMemory)):
            handing.write({"session_secret": Secret("s" * 43)}, folder)
    finally:
        folder.unlink()


class WithStore(Up):
    """`metachat up` whose secrets lie in an age file, and one in the shell's environment."""

    @property
    @override
    def environment(self) -> dict[str, str]:
        """The environment of that shell."""
        beside = self.data.parent
        return {
            **super().environment,
            "METACHAT_SECRETS_STORE": f"age:{beside}/s.age?identity={beside}/server.identity",
            "METACHAT_EMBEDDER_KEY": "embedder-key-of-the-shell",
        }


@pytest.fixture
def stored(tmp_path: Path):
    """A platform on an age file with three keys."""
    store = AgeStore(tmp_path / "s.age", tmp_path / "server.identity")
    store.create(
        {
            "server": identities.make(store.identity),
            "recovery": identities.make(tmp_path / "recovery.identity"),
        }
    )
    for name in ("session_secret", "api_key_pepper", "encryption_key"):
        store.add(name, Secret(f"{name}-of-the-age-file-0123456789"))
    made = WithStore(tmp_path / "data")
    yield made
    made.cleans_up()


def environments(family: list[psutil.Process]) -> str:
    """What the environments and the arguments of processes hold, all in one."""
    return "\n".join(f"{member.cmdline()} {member.environ()}" for member in family)


def test_up_hands_the_store_over_and_no_child_has_a_secret_in_its_environment(stored: WithStore) -> None:
    stored.starts()
    folder = handing.default_folder(stored.data)
    handed = {path.name: path.read_text() for path in folder.iterdir()}
    assert handed == {
        "session_secret": "session_secret-of-the-age-file-0123456789",
        "api_key_pepper": "api_key_pepper-of-the-age-file-0123456789",
        "encryption_key": "encryption_key-of-the-age-file-0123456789",
        "embedder_key": "embedder-key-of-the-shell",
    }
    kept = (stored.data / "secrets.env").read_text()
    assert "METACHAT_SESSION_SECRET" not in kept  # nothing beside the store is made up
    assert "METACHAT_CLI_TOKEN" in kept
    assert stored.run("tenants", "create", "acme").returncode == 0  # the command line has its token
    secret = [*handed.values(), *(line.partition("=")[2] for line in kept.splitlines() if "=" in line)]
    told = environments(stored.family()[1:]) + stored.said()
    assert [value for value in secret if value in told] == []
    assert stored.stops() == 0
    assert not folder.exists()


def test_up_refuses_a_store_that_names_another_database(stored: WithStore, tmp_path: Path) -> None:
    store = AgeStore(tmp_path / "s.age", tmp_path / "server.identity")
    store.add("database_url", Secret("postgresql://metachat_app:pw@db.internal/metachat"))
    process = stored.begins()
    assert process.wait(60) == OwnDatabase.exit_code
    assert "database_url" in stored.said()
    assert not handing.default_folder(stored.data).exists()


def test_a_unit_is_handed_its_secrets_by_a_command(tmp_path: Path, folder: Path) -> None:
    up = Up(tmp_path)
    assert up.run("secrets", "generate").returncode == 0
    told = json.loads(up.run("secrets", "hand", "--json").stdout)
    assert told == {"folder": str(folder)}
    assert sorted(os.listdir(folder)) == [
        "api_key_pepper", "cli_token", "encryption_key", "metrics_token", "session_secret",
    ]  # fmt: skip
    assert up.run("secrets", "hand", "--clear").returncode == 0
    assert not folder.exists()
