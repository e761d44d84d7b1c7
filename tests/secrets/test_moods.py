"""A store that is away, slow, sealed, busy, or shut to us: one clear refusal each, within its time."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.doppler_server import DopplerServer
from tests.fakes.vault_server import VaultServer
from tests.secrets.conftest import private

from metachat.foundation.settings import Secret
from metachat.operations.secrets import (
    Place,
    SecretMissing,
    Store,
    StoreBusy,
    StoreDamaged,
    StoreForbidden,
    StoreMissing,
    StoreRefusal,
    StoreSealed,
    StoreUnreachable,
    open_store,
    opening,
)
from metachat.operations.secrets.stores.doppler import DopplerStore
from metachat.operations.secrets.stores.secretsmanager import SecretsManagerStore
from metachat.operations.secrets.stores.ssm import ParameterStore
from metachat.operations.secrets.stores.vault import Address, VaultStore

SECONDS = 0.5
# The bound itself, and what a busy machine needs to start a thread and to come back.
PATIENCE = SECONDS + 2.0


def vault_store(url: str, tmp_path: Path, token: str = "hvs.fake-token") -> VaultStore:
    """A store at a Vault, with little patience."""
    file = private(tmp_path / "token", token)
    return VaultStore(Address(url, "secret", "metachat", file, None, None), seconds=SECONDS)


def doppler_store(url: str, tmp_path: Path, token: str = "dp.st.prd.fake") -> DopplerStore:
    """A store at a Doppler, with little patience."""
    return DopplerStore(url, "chat", "prd", private(tmp_path / "token", token), seconds=SECONDS)


def refusal(call: Callable[[], object]) -> StoreRefusal:
    """What a call refuses with, in bounded time and with a next move."""
    began = time.monotonic()
    with pytest.raises(StoreRefusal) as refused:
        call()
    assert time.monotonic() - began < PATIENCE
    assert refused.value.fix
    assert "fake" not in str(refused.value)  # both servers' tokens have that word
    return refused.value


VAULT = [
    ("sealed", StoreSealed, "unseal"),
    ("standby", StoreUnreachable, "log"),
    ("throttled", StoreBusy, "again"),
    ("forbidden", StoreForbidden, "policy"),
    ("silent", StoreUnreachable, "up"),
    ("dripping", StoreUnreachable, "up"),
    ("version 1", StoreDamaged, "kv enable-versioning"),
]


@pytest.mark.parametrize(("mood", "expected", "fix"), VAULT, ids=[mood for mood, _, _ in VAULT])
def test_vault(mood: str, expected: type[StoreRefusal], fix: str, vault: VaultServer, tmp_path: Path) -> None:
    store = vault_store(vault.url, tmp_path)
    store.put("session_secret", Secret("s" * 43))
    vault.mood = mood
    found = refusal(lambda: store.get("session_secret"))
    assert type(found) is expected
    assert fix in found.fix
    vault.mood = "well"
    assert store.get("session_secret") == Secret("s" * 43)


@pytest.mark.parametrize("verb", ["names", "put", "add", "delete", "describe"])
def test_every_call_to_a_silent_vault_is_bounded(verb: str, vault: VaultServer, tmp_path: Path) -> None:
    store = vault_store(vault.url, tmp_path)
    vault.mood = "silent"
    arguments = {"put": ("session_secret", Secret("s" * 43)), "names": ()}
    arguments["add"] = arguments["put"]
    call = getattr(store, verb)
    found = refusal(lambda: call(*arguments.get(verb, ("session_secret",))))
    assert isinstance(found, StoreUnreachable)


def test_vault_with_a_wrong_token_approle_or_mount(vault: VaultServer, tmp_path: Path) -> None:
    assert isinstance(refusal(vault_store(vault.url, tmp_path, "hvs.other").names), StoreForbidden)
    role, secret = private(tmp_path / "role", "role-1"), private(tmp_path / "secret", "of another")
    approle = VaultStore(Address(vault.url, "secret", "metachat", None, role, secret))
    assert "AppRole" in refusal(approle.names).fix
    file = private(tmp_path / "token", vault.token)
    elsewhere = VaultStore(Address(vault.url, "nowhere", "metachat", file, None, None))
    assert isinstance(refusal(elsewhere.names), StoreMissing)
    assert isinstance(
        refusal(VaultStore(Address(vault.url, "secret", "m", None, None, None)).names), StoreForbidden
    )


def test_a_token_that_others_may_read_is_not_used(vault: VaultServer, tmp_path: Path) -> None:
    store = vault_store(vault.url, tmp_path)
    (tmp_path / "token").chmod(0o644)
    assert "chmod 600" in refusal(store.names).fix
    assert vault.asked == []


DOPPLER = [
    ("throttled", StoreBusy),
    ("down", StoreUnreachable),
    ("silent", StoreUnreachable),
    ("write-only", StoreForbidden),
]


@pytest.mark.parametrize(("mood", "expected"), DOPPLER, ids=[mood for mood, _ in DOPPLER])
def test_doppler(mood: str, expected: type[StoreRefusal], doppler: DopplerServer, tmp_path: Path) -> None:
    store = doppler_store(doppler.url, tmp_path)
    store.put("session_secret", Secret("s" * 43))
    doppler.mood = mood
    assert type(refusal(lambda: store.get("session_secret"))) is expected


def test_doppler_with_a_wrong_token_project_or_name(doppler: DopplerServer, tmp_path: Path) -> None:
    assert isinstance(refusal(doppler_store(doppler.url, tmp_path, "dp.st.other").names), StoreForbidden)
    store = doppler_store(doppler.url, tmp_path)
    assert isinstance(refusal(lambda: store.get("session_secret")), SecretMissing)
    file = private(tmp_path / "token", doppler.token)
    assert isinstance(refusal(DopplerStore(doppler.url, "shop", "prd", file).names), StoreMissing)
    assert isinstance(refusal(DopplerStore(doppler.url, "chat", "dev", file).names), StoreForbidden)


def test_doppler_keeps_what_is_not_ours(doppler: DopplerServer, tmp_path: Path) -> None:
    store = doppler_store(doppler.url, tmp_path)
    store.put("session_secret", Secret("s" * 43))
    assert store.names() == ["session_secret"]
    assert doppler.kept["METACHAT_SESSION_SECRET"] == "s" * 43
    assert doppler.kept["DOPPLER_PROJECT"] == "chat"


@pytest.fixture
def nobody() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def mute():
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextlib.contextmanager
def cutting() -> Iterator[tuple[str, Callable[[], int]]]:
    """An address that reads each request and hangs up; and how many there were."""
    taken: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed at the end
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        taken.append(connection.recv(1 << 16))

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", lambda: len(taken)
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("service", [ParameterStore, SecretsManagerStore])
def test_aws_away_or_mute(service: Callable[..., Store], aws: str, nobody: str, mute: str) -> None:
    for endpoint in (nobody, mute):
        store = service("eu-central-1", "metachat", endpoint)
        vars(store)["aws"].seconds = SECONDS
        assert isinstance(refusal(store.names), StoreUnreachable)


@pytest.mark.parametrize("service", [ParameterStore, SecretsManagerStore])
def test_aws_without_credentials(
    service: Callable[..., Store], aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = refusal(service("eu-central-1", "metachat", aws).names)
    assert isinstance(found, StoreForbidden)
    assert "role" in found.fix


def test_vault_and_doppler_where_nobody_listens(nobody: str, tmp_path: Path) -> None:
    assert isinstance(refusal(vault_store(nobody, tmp_path).names), StoreUnreachable)
    assert isinstance(refusal(doppler_store(nobody, tmp_path).names), StoreUnreachable)


@pytest.mark.parametrize(
    "address",
    [
        "vault:http://vault.example.com/secret/metachat?token_file=/x",
        "doppler:chat/prd?api=http://proxy.example.com",
        "ssm:eu-central-1/metachat?endpoint=http://aws.example.com",
        "vault:https://vault.example.com/only-a-mount",
        "ssm:eu-central-1",
        "age:",
        "sops:/etc/secrets.yaml",
    ],
)
def test_addresses_that_name_no_store_or_send_in_the_clear(address: str, tmp_path: Path) -> None:
    with pytest.raises(opening.UnknownStore) as refused:
        open_store(Place(address, tmp_path, {}))
    assert refused.value.exit_code == 78


def test_the_environment_is_for_development_only(tmp_path: Path) -> None:
    environ = {"METACHAT_SESSION_SECRET": "s" * 43, "METACHAT_PORT": "80", "HOME": "/"}
    store = open_store(Place("env:", tmp_path, environ))
    assert store.names() == ["session_secret"]
    assert store.get("session_secret") == Secret("s" * 43)
    assert (
        "production" in refusal(lambda: open_store(Place("env:", tmp_path, environ, production=True))).found
    )
    refusal(lambda: store.put("session_secret", Secret("t" * 43)))


def test_systemd_credentials_are_read_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "session_secret").write_text("s" * 43 + "\n")
    (tmp_path / "secrets.identity").write_text("what opens something else")
    store = open_store(Place("systemd:", tmp_path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}))
    assert store.names() == ["session_secret"]
    assert store.get("session_secret") == Secret("s" * 43)
    assert isinstance(refusal(lambda: store.get("api_key_pepper")), SecretMissing)
    assert "systemd-creds" in refusal(lambda: store.put("session_secret", Secret("t" * 43))).fix
    assert isinstance(refusal(lambda: open_store(Place("systemd:", tmp_path, {}))), StoreMissing)


@pytest.mark.parametrize("service", [ParameterStore, SecretsManagerStore])
def test_an_add_is_sent_to_aws_once_even_when_the_answer_is_lost(
    service: Callable[..., Store], aws: str
) -> None:
    with cutting() as (endpoint, count):
        store = service("eu-central-1", "metachat", endpoint)
        found = refusal(lambda: store.add("session_secret", Secret("s" * 43)))
    assert isinstance(found, StoreUnreachable)
    assert count() == 1
