"""The platform's own secrets: made at the first start, kept in `secrets.env`."""

import secrets
from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote, urlsplit

from metachat.foundation.settings import SECRETS_FILE, Secret, read_secrets
from metachat.operations.local.folder import write
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets.stores.file import FileStore

DATABASE = "metachat"
CLI_TOKEN_FILE = "cli.token"  # noqa: S105 a name, not a token

_KEYS = ("session_secret", "api_key_pepper", "encryption_key", "cli_token")

ROLES = {
    "owner_database_url": "metachat_owner",
    "database_url": "metachat_app",
    "worker_database_url": "metachat_worker",
}


def ensure(data: Path, cluster: Cluster, elsewhere: Collection[str] = ()) -> None:
    """Make what is missing, but for keys that are kept elsewhere.

    Addresses are made anew, since the folder may have been moved.
    """
    known = read_secrets(data)
    values = {
        **known,
        **{name: known.get(name) or secrets.token_urlsafe(32) for name in _KEYS if name not in elsewhere},
    }
    for name, role in ROLES.items():
        password = _password(known.get(name)) or secrets.token_urlsafe(24)
        values[name] = cluster.dsn(_login(known.get(name)) or role, DATABASE, password)
    if values != known:
        store = FileStore(data / SECRETS_FILE)
        for name, value in values.items():
            store.put(name, Secret(value))
    if "cli_token" in values:
        write(data / CLI_TOKEN_FILE, values["cli_token"] + "\n", 0o600)


def passwords(data: Path) -> dict[str, str]:
    """Read the database passwords, by login."""
    known = read_secrets(data)
    return {_login(known[name]) or role: _password(known[name]) or "" for name, role in ROLES.items()}


def _login(address: str | None) -> str | None:
    return unquote(urlsplit(address).username or "") if address else None


def _password(address: str | None) -> str | None:
    return unquote(urlsplit(address).password or "") if address else None
