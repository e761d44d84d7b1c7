"""Speaks to the running platform as its operator, with the token that lies in the data folder."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from typing_extensions import override

from metachat.foundation.errors import STATUS, Kind, Refusal
from metachat.foundation.settings import Settings, load
from metachat.operations.local import state
from metachat.operations.local.state import NothingRuns

_KINDS = {status: kind for kind, status in STATUS.items()}
# The bytes of a request: whole, or in parts for a file that need not fit into memory.
Body = bytes | Iterable[bytes] | None


class NoToken(Refusal):
    """The token of this machine's command line is missing; `metachat up` writes it into the data folder."""

    code, kind = "no_cli_token", Kind.UNAUTHENTICATED


class Refused(Refusal):
    """What the platform refused."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self._sentence = str(problem.get("title") or f"The platform answered {status}.")
        # One class for all that may come over the wire: the instance says what kind it is.
        vars(self)["kind"] = _KINDS.get(status, Kind.UNAVAILABLE if status >= 500 else Kind.INVALID)
        vars(self)["code"] = str(problem.get("code") or "refused")
        super().__init__(_detail(problem))

    @property
    @override
    def sentence(self) -> str:
        """The platform's own sentence."""
        return self._sentence


@dataclass(frozen=True, slots=True)
class Client:
    """A way to the platform, for one tenant or (None) for the platform as a whole."""

    address: str
    token: str
    tenant: str | None = None

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the API with JSON and return its JSON, None without any; raises Refused, NothingRuns."""
        encoded = None if body is None else json.dumps(body).encode()
        headers = {} if encoded is None else {"Content-Type": "application/json"}
        answer = self.send(method, path, encoded, headers)
        return json.loads(answer) if answer else None

    def pages(self, path: str) -> Iterable[Any]:
        """Go through a list, page by page."""
        query: dict[str, str] = {"limit": "100"}
        while True:
            part = self.call("GET", f"{path}?{urlencode(query)}")
            yield from part["items"]
            if part["next_cursor"] is None:
                return
            query["cursor"] = part["next_cursor"]

    def send(
        self, method: str, path: str, body: Body = None, headers: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> bytes:  # fmt: skip
        """Send a request and return the answer's body; raises Refused, NothingRuns."""
        connection = self._connect(timeout)
        try:
            connection.request(method, path, body=body, headers={**self._headers(), **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NothingRuns(f"{self.address}: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, _problem(content))
        return content

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout)

    def _headers(self) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        return headers if self.tenant is None else {**headers, "X-Metachat-Tenant": self.tenant}


def connect(tenant: str | None = None) -> Client:
    """Find the platform that runs on the data folder; raises NothingRuns, NoToken."""
    settings = load(process="cli")
    if settings.cli_token is None:
        # A folder where nothing was ever started has no token either: that is the nearer fact.
        state.read(settings.data_dir.absolute())
        raise NoToken(str(settings.data_dir))
    return Client(_address(settings), settings.cli_token.reveal(), tenant)


def _address(settings: Settings) -> str:
    try:
        return state.read(settings.data_dir.absolute()).address
    except NothingRuns:
        # Not started by `metachat up`: then it listens where the settings say.
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - a comparison
        return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _problem(content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _detail(problem: Mapping[str, Any]) -> str | None:
    fields = [f"{one.get('field')}: {one.get('message')}" for one in problem.get("errors", [])]
    lines = [str(problem["detail"]), *fields] if problem.get("detail") else fields
    return "\n".join(lines) or None
