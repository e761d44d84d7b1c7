"""Every store, opened on something real: files, a fake's HTTP server, moto's server for AWS."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer
from tests.fakes.doppler_server import DopplerServer
from tests.fakes.vault_server import VaultServer

from metachat.operations.secrets import Place, Store, identities, open_store
from metachat.operations.secrets.stores.age import AgeStore


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    """A Vault on loopback."""
    with VaultServer() as server:
        yield server


@pytest.fixture
def doppler() -> Iterator[DopplerServer]:
    """A Doppler on loopback."""
    with DopplerServer() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of moto's server, which speaks AWS's own protocol."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, with credentials in the environment and no others to be found."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return moto


def private(path: Path, text: str) -> Path:
    """Write a file that only we may read."""
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def age_store(tmp_path: Path) -> AgeStore:
    """An age file for the server and the recovery key, whose identities lie beside it."""
    store = AgeStore(tmp_path / "secrets.age", tmp_path / "server.identity")
    server = identities.make(tmp_path / "server.identity")
    recovery = identities.make(tmp_path / "recovery.identity")
    store.create({"server": server, "recovery": recovery})
    return store


Opener = Callable[[], Store]


@pytest.fixture(params=["age", "file", "vault", "approle", "ssm", "secretsmanager", "doppler"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Each store that can be written, empty."""
    kind = request.param
    if kind == "age":
        request.getfixturevalue("age_store")
        address = f"age:{tmp_path}/secrets.age?identity={tmp_path}/server.identity"
    elif kind == "file":
        address = f"file:{tmp_path}/secrets.env"
    elif kind in ("vault", "approle"):
        server: VaultServer = request.getfixturevalue("vault")
        token = private(tmp_path / "token", server.token)
        role, secret = (
            private(tmp_path / "role", server.role_id),
            private(tmp_path / "secret", server.secret_id),
        )
        way = f"token_file={token}" if kind == "vault" else f"role_id_file={role}&secret_id_file={secret}"
        address = f"vault:{server.url}/secret/apps/metachat?{way}"
    elif kind == "doppler":
        doppler: DopplerServer = request.getfixturevalue("doppler")
        token = private(tmp_path / "token", doppler.token)
        address = f"doppler:chat/prd?token_file={token}&api={doppler.url}"
    else:
        address = f"{kind}:eu-central-1/{tmp_path.name}?endpoint={request.getfixturevalue('aws')}"
    return open_store(Place(address, tmp_path, {}))
