"""A store in Doppler, through its REST API: `METACHAT_NAME` in one config of one project."""

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from metachat.foundation.settings import PREFIX, Secret
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import (
    Described,
    SecretExists,
    SecretMissing,
    StoreBusy,
    StoreDamaged,
    StoreForbidden,
    StoreMissing,
    StoreRefusal,
    StoreUnreachable,
    fit_name,
    fit_names,
    fit_value,
)
from metachat.operations.secrets.within import SECONDS, within

_SECRET = "/v3/configs/config/secret"  # noqa: S105 a path
_SECRETS = "/v3/configs/config/secrets"
_LARGEST = 1024 * 1024


class DopplerStore:
    """Secrets in a config; the token is a service token, read from a file."""

    def __init__(
        self, api: str, project: str, config: str, token_file: Path, seconds: float = SECONDS
    ) -> None:
        """Keep the place; nothing is called yet."""
        self.api = api
        self.scope = {"project": project, "config": config}
        self.token_file = token_file
        self.seconds = seconds

    @property
    def address(self) -> str:
        """The project and the config."""
        return f"doppler:{self.scope['project']}/{self.scope['config']}"

    @property
    def private_files(self) -> list[Path]:
        """Files that nobody else may read."""
        return [self.token_file]

    def names(self) -> list[str]:
        """List the names, sorted; what is not ours is left out."""
        found = self._call("GET", f"{_SECRETS}/names", {})["names"]
        return fit_names(name.removeprefix(PREFIX).lower() for name in found if name.startswith(PREFIX))

    def get(self, name: str) -> Secret:
        """Read a value, with references to other secrets resolved; raises SecretMissing."""
        value = self._call("GET", _SECRET, {"name": _variable(name)}, name)["value"]["computed"]
        if not isinstance(value, str):
            # A service token that may only write sees no values.
            raise StoreForbidden(f"{self.address} does not show {name}.", "Use a token with read access.")
        return Secret(value)

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists. Doppler cannot do both in one step."""
        if name in self.names():
            raise SecretExists(name)
        self.put(name, value)

    def put(self, name: str, value: Secret) -> None:
        """Keep a value as a new version."""
        secrets = {_variable(fit_name(name)): fit_value(name, value)}
        self._call("POST", _SECRETS, {**self.scope, "secrets": secrets})

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        self.get(name)
        self._call("DELETE", _SECRET, {"name": _variable(name)}, name)

    def describe(self, name: str) -> Described:
        """Tell that it is there; Doppler gives no date of a value."""
        self.get(name)
        return Described(name)

    def _call(self, method: str, path: str, sent: dict[str, Any], name: str = "") -> Any:
        status, content = within(self.seconds, self.address, lambda: self._exchange(method, path, sent))
        try:
            found = json.loads(content) if content and status < 500 else {}
        except ValueError as error:
            raise StoreDamaged(f"{self.address} answered no JSON ({status}).", "Is it Doppler?") from error
        if status >= 300:
            raise self._refusal(status, found, name)
        return found

    def _exchange(self, method: str, path: str, sent: dict[str, Any]) -> tuple[int, bytes]:
        parts = urlsplit(self.api)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.seconds)
        token = files.read_private(self.token_file, "a Doppler service token")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        body = None
        if method == "POST":
            body, headers = json.dumps(sent), {**headers, "Content-Type": "application/json"}
        else:
            path = f"{path}?{urlencode({**self.scope, **sent})}"
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise StoreUnreachable(
                f"{self.address}: {type(error).__name__}.",
                f"See whether {parts.netloc} can be reached from here.",
            ) from error
        finally:
            connection.close()

    def _refusal(self, status: int, found: Any, name: str) -> StoreRefusal:
        messages = found.get("messages") if isinstance(found, dict) else None
        words = f"{self.address}: {' '.join(map(str, messages or [])) or status}"
        if status in (401, 403):
            return StoreForbidden(
                words, "Check the service token: it is for one config, and may have expired."
            )
        if status == 404 and name and "secret" in words:
            return SecretMissing(name)
        if status == 404:
            return StoreMissing(words, "Check the project and the config.")
        if status == 429:
            return StoreBusy(words, "Try again in a minute.")
        if status >= 500:
            return StoreUnreachable(words, "Try again; see Doppler's status page.")
        return StoreDamaged(words, "Check the project, the config and the secret's name.")


def _variable(name: str) -> str:
    return PREFIX + name.upper()
