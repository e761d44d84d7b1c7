"""A store in HashiCorp Vault (or OpenBao): KV version 2, one entry each, its value under the key `value`."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

import hvac
import hvac.exceptions
import requests

from metachat.foundation.settings import Secret
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    StoreBusy,
    StoreDamaged,
    StoreForbidden,
    StoreMissing,
    StoreSealed,
    StoreUnreachable,
    fit_name,
    fit_names,
    fit_value,
)
from metachat.operations.secrets.within import SECONDS, within

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Address:
    """A server, the place in it, and the files that open it: a token's, or those of an AppRole."""

    server: str
    mount: str
    path: str
    token_file: Path | None
    role_id_file: Path | None
    secret_id_file: Path | None
    namespace: str | None = None

    def __str__(self) -> str:
        """Write it as the setting does, without the files."""
        return f"vault:{self.server}/{self.mount}/{self.path}"


class VaultStore:
    """Secrets in a KV version 2 engine."""

    def __init__(self, at: Address, seconds: float = SECONDS) -> None:
        """Keep the address; signs in with each call, for a token may expire between two."""
        self.at = at
        self.seconds = seconds

    @property
    def address(self) -> str:
        """The server, the mount and the path."""
        return str(self.at)

    @property
    def private_files(self) -> list[Path]:
        """Files that nobody else may read."""
        ways = (self.at.token_file, self.at.role_id_file, self.at.secret_id_file)
        return [way for way in ways if way is not None]

    def names(self) -> list[str]:
        """List the names, sorted."""

        def listed(kv: Any) -> list[str]:
            try:
                keys = kv.list_secrets(path=self.at.path, mount_point=self.at.mount)["data"]["keys"]
            except hvac.exceptions.InvalidPath as error:
                self._refuse_missing_mount(error)
                return []
            return fit_names(keys)

        return self._call(listed)

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        value = self._read(name)["data"].get("value")
        if not isinstance(value, str):
            raise StoreDamaged(
                f"{self._path(name)} has no text under the key `value`.",
                f"Set it: metachat secrets set {name}",
            )
        return Secret(value)

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists."""
        try:
            self._write(name, value, 0)
        except hvac.exceptions.InvalidRequest as error:
            if "check-and-set" in str(error):
                raise SecretExists(name) from error
            raise StoreDamaged(f"{self.address}: {_words(error)}", "See the Vault server's log.") from error

    def put(self, name: str, value: Secret) -> None:
        """Keep a value as a new version."""
        self._write(name, value, None)

    def delete(self, name: str) -> None:
        """Forget a secret with all its versions; raises SecretMissing."""
        self._read(name)
        self._call(
            lambda kv: kv.delete_metadata_and_all_versions(self._path(name), mount_point=self.at.mount)
        )

    def describe(self, name: str) -> Described:
        """Tell when this version was made; raises SecretMissing."""
        metadata = self._read(name)["metadata"]
        made_at = datetime.fromisoformat(metadata["created_time"].replace("Z", "+00:00"))
        return Described(name, made_at, str(metadata["version"]))

    def _read(self, name: str) -> dict[str, Any]:
        def read(kv: Any) -> dict[str, Any]:
            try:
                answer = kv.read_secret_version(
                    self._path(name), mount_point=self.at.mount, raise_on_deleted_version=True
                )
            except hvac.exceptions.InvalidPath as error:
                self._refuse_missing_mount(error)
                raise SecretMissing(name) from error
            found = answer.get("data", {})
            if not isinstance(found.get("data"), dict) or "metadata" not in found:
                raise StoreDamaged(
                    f"{self.at.mount}/ is no KV engine of version 2.", "vault kv enable-versioning it."
                )
            return found

        return self._call(read)

    def _write(self, name: str, value: Secret, cas: int | None) -> None:
        content = {"value": fit_value(name, value)}
        path = self._path(fit_name(name))
        self._call(lambda kv: kv.create_or_update_secret(path, content, cas=cas, mount_point=self.at.mount))

    def _path(self, name: str) -> str:
        return f"{self.at.path}/{name}"

    def _refuse_missing_mount(self, error: hvac.exceptions.InvalidPath) -> None:
        # A path with nothing in it says 404 without words.
        if error.errors:
            raise StoreMissing(
                f"{self.address}: {_words(error)}", "Check the mount; vault secrets list shows them."
            )

    def _call(self, what: Callable[[Any], T]) -> T:
        """Sign in and call, within the time; of Vault's own errors only a refused request comes out."""
        with _failures_named(self.address):
            return within(self.seconds, self.address, lambda: what(self._client().secrets.kv.v2))

    def _client(self) -> hvac.Client:
        at = self.at
        client = hvac.Client(
            url=at.server,
            namespace=at.namespace,
            timeout=ceil(self.seconds),
            allow_redirects=False,
            session=_session(),
        )
        if at.role_id_file and at.secret_id_file:
            role = files.read_private(at.role_id_file, "the AppRole's role id")
            client.auth.approle.login(role, files.read_private(at.secret_id_file, "the AppRole's secret id"))
        elif at.token_file:
            client.token = files.read_private(at.token_file, "a Vault token")
        else:
            raise StoreForbidden(
                "METACHAT_SECRETS_STORE names neither a token nor an AppRole.",
                "Add ?token_file=FILE, or ?role_id_file=FILE&secret_id_file=FILE.",
            )
        return client


def _session() -> requests.Session:
    # Neither proxies nor .netrc of whoever runs it: a token goes to the named server only.
    session = requests.Session()
    session.trust_env = False
    return session


@contextlib.contextmanager
def _failures_named(where: str) -> Iterator[None]:
    try:
        yield
    except hvac.exceptions.VaultDown as error:
        if "sealed" in str(error):
            raise StoreSealed(f"{where} is sealed.", "Unseal it: vault operator unseal") from error
        raise StoreUnreachable(f"{where}: {_words(error)}", "See the Vault server's log.") from error
    except hvac.exceptions.VaultNotInitialized as error:
        raise StoreSealed(f"{where} is not initialised.", "Run: vault operator init") from error
    except (hvac.exceptions.Forbidden, hvac.exceptions.Unauthorized) as error:
        raise StoreForbidden(
            f"{where}: {_words(error)}", "Check that the token is still valid, and its policy for this path."
        ) from error
    except hvac.exceptions.RateLimitExceeded as error:
        raise StoreBusy(f"{where}: {_words(error)}", "Try again in a minute.") from error
    except hvac.exceptions.InvalidRequest as error:
        if "login" in (error.url or ""):
            raise StoreForbidden(
                f"{where}: {_words(error)}", "Check the AppRole's role id and secret id."
            ) from error
        raise
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        raise StoreUnreachable(
            f"{where}: {_words(error)}", "See whether the server is up, and its certificate valid."
        ) from error


def _words(error: Exception) -> str:
    """What an error says, without the request: a body may hold values."""
    if isinstance(error, hvac.exceptions.VaultError):
        return ", ".join(error.errors or []) or type(error).__name__
    return type(error).__name__
