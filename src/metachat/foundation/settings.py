"""Settings: each declared once, all validated before anything starts, all problems told at once."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from metachat.foundation.errors import Kind, Refusal

Process = Literal["up", "api", "worker", "cli"]

PREFIX = "METACHAT_"
SECRETS_FILE = "secrets.env"


class Secret:
    """A value that never shows itself: repr and str are dots."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; call it where it is used, never where it is printed."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration; never holds a secret's value."""

    name: str
    problem: str
    expected: str
    fix: str


class InvalidSettings(Refusal):
    """The configuration has problems."""

    code = "invalid_settings"
    kind = Kind.INVALID
    exit_code = 78  # EX_CONFIG

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        lines = [f"{p.name}: {p.problem}; expected {p.expected}. {p.fix}" for p in problems]
        super().__init__("\n".join(lines), problems=[dataclasses.asdict(p) for p in problems])


@dataclass(frozen=True, slots=True)
class Declared:
    """One setting: its sentence, unit, bounds and readers; the reference page is made from these."""

    sentence: str
    parse: Callable[[str], Any]
    expected: str
    default: str | None = None
    unit: str = ""
    secret: bool = False
    needed_by: tuple[Process, ...] = ()


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return parse


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
        raise ValueError
    return text.lower() in ("true", "1", "yes")


def _key(text: str) -> Secret:
    if len(text.encode()) < 32:
        raise ValueError
    return Secret(text)


def _web_address(text: str) -> str:
    if not text.startswith(("http://", "https://")) or " " in text:
        raise ValueError
    return text.rstrip("/")


def _database_address(text: str) -> Secret:
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError
    return Secret(text)


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ip_network(part.strip())) for part in text.split(",") if part.strip())


_SERVING: tuple[Process, ...] = ("api", "worker")
_FIX_DATABASE = "a URL postgresql://role@host/database"

DECLARED: dict[str, Declared] = {
    "data_dir": Declared("The folder with everything that must survive.", Path, "a path", default="var"),
    "host": Declared(
        "The address the platform listens on.", str, "a host name or address", default="127.0.0.1"),
    "port": Declared("The port the platform listens on.", _number(1, 65535), "1 to 65535", default="8080"),
    "public_url": Declared(
        "The address under which browsers reach the platform; empty means the one it listens on.",
        lambda text: _web_address(text) if text else "", "an http:// or https:// address", default=""),
    "database_url": Declared(
        "Postgres for the api processes (role metachat_app).",
        _database_address, _FIX_DATABASE, secret=True, needed_by=("api",)),
    "worker_database_url": Declared(
        "Postgres for the worker (role metachat_worker).",
        _database_address, _FIX_DATABASE, secret=True, needed_by=("worker",)),
    "owner_database_url": Declared(
        "Postgres for migrations (role metachat_owner).", _database_address, _FIX_DATABASE, secret=True),
    "session_secret": Declared(
        "Signs visitors' tokens.", _key, "at least 32 bytes", secret=True, needed_by=("api",)),
    "api_key_pepper": Declared(
        "Hashes API keys and session tokens.", _key, "at least 32 bytes", secret=True, needed_by=("api",)),
    "encryption_key": Declared(
        "Seals channel and model credentials in the database.",
        _key, "at least 32 bytes", secret=True, needed_by=_SERVING),
    "cli_token": Declared(
        "Lets this machine's command line act for any tenant.", _key, "at least 32 bytes", secret=True),
    "workers": Declared(
        "Number of api processes; 0 means one per core, at least two.",
        _number(0, 64), "0 to 64", default="0", unit="processes"),
    "turns_in_flight": Declared(
        "Answers that one worker makes at the same time.",
        _number(1, 2000), "1 to 2000", default="200", unit="turns"),
    "database_pool": Declared(
        "Connections to Postgres that each process keeps at most.",
        _number(2, 100), "2 to 100", default="4", unit="connections"),
    "upload_limit": Declared(
        "The largest file that knowledge accepts.",
        _number(1, 1024), "1 to 1024", default="50", unit="MiB"),
    "embedder": Declared(
        "Which embedding model turns text into vectors.",
        _one_of("bundled", "openai", "ollama"), "bundled, openai or ollama", default="bundled"),
    "embedder_url": Declared(
        "Address of the embedding endpoint, when it is not bundled.",
        lambda text: _web_address(text) if text else "", "an http:// or https:// address", default=""),
    "embedder_model": Declared(
        "Name of the embedding model, when it is not bundled.", str, "a name", default=""),
    "embedder_dimension": Declared(
        "Length of its vectors, when it is not bundled.",
        _number(1, 4000), "1 to 4000", default="1024", unit="numbers"),
    "embedder_key": Declared(
        "Key of the embedding endpoint, when it wants one.", lambda text: Secret(text), "a key",
        default="", secret=True),
    "allowed_networks": Declared(
        "Private networks that tenants' addresses may lie in, for a model on this machine, say.",
        _networks, "networks like 127.0.0.0/8, separated by commas", default=""),
    "graph_url": Declared(
        "Address of Meta's Graph API, through which WhatsApp messages are sent.",
        _web_address, "an http:// or https:// address", default="https://graph.facebook.com"),
    "log_format": Declared(
        "Form of the log lines.", _one_of("json", "text"), "json or text", default="json"),
    "production": Declared(
        "Refuse whatever is only good for development.", _flag, "true or false", default="false"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """The validated settings; what a process doesn't need may be None."""

    data_dir: Path
    host: str
    port: int
    public_url: str
    database_url: Secret | None
    worker_database_url: Secret | None
    owner_database_url: Secret | None
    session_secret: Secret | None
    api_key_pepper: Secret | None
    encryption_key: Secret | None
    cli_token: Secret | None
    workers: int
    turns_in_flight: int
    database_pool: int
    upload_limit: int
    embedder: str
    embedder_url: str
    embedder_model: str
    embedder_dimension: int
    embedder_key: Secret
    allowed_networks: tuple[str, ...]
    graph_url: str
    log_format: str
    production: bool

    @property
    def address(self) -> str:
        """The address under which browsers reach the platform, without a slash at the end."""
        return self.public_url or f"http://{self.host}:{self.port}"


def load(environ: Mapping[str, str] | None = None, process: Process = "cli") -> Settings:
    """Read and validate the settings of a process; raises InvalidSettings with every problem.

    The environment comes first, then `secrets.env` in the data folder, then the defaults.
    """
    environ = os.environ if environ is None else environ
    problems: list[Problem] = []
    given = {**_secrets_file(Path(environ.get(PREFIX + "DATA_DIR") or "var"), problems), **environ}
    values = {name: _value(name, declared, given, process, problems) for name, declared in DECLARED.items()}
    if problems:
        raise InvalidSettings(problems)
    return Settings(**values)


def write_secrets(data_dir: Path, values: Mapping[str, str]) -> None:
    """Write `secrets.env` into the data folder with mode 600, in one step."""
    lines = "".join(f"{PREFIX}{name.upper()}={value}\n" for name, value in values.items())
    with tempfile.NamedTemporaryFile("w", dir=data_dir, prefix=".secrets-", delete=False) as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(data_dir / SECRETS_FILE)


def read_secrets(data_dir: Path) -> dict[str, str]:
    """Read `secrets.env` of a data folder by setting name; empty when there is none."""
    problems: list[Problem] = []
    named = _secrets_file(data_dir, problems)
    if problems:
        raise InvalidSettings(problems)
    return {name.removeprefix(PREFIX).lower(): value for name, value in named.items()}


def _secrets_file(data_dir: Path, problems: list[Problem]) -> dict[str, str]:
    path = data_dir / SECRETS_FILE
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        problems.append(
            Problem(str(path), f"cannot be read ({error.strerror})", "a readable file", f"Run: ls -l {path}")
        )
        return {}
    if mode & 0o077:
        problems.append(
            Problem(str(path), f"others may read it (mode {mode:o})", "mode 600", f"Run: chmod 600 {path}")
        )
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _value(
    name: str, declared: Declared, given: Mapping[str, str], process: Process, problems: list[Problem]
) -> Any:
    variable = PREFIX + name.upper()
    text = given.get(variable, declared.default)
    if not text and process in declared.needed_by:
        fix = f"Set {variable}, or start with `metachat up`, which makes one."
        problems.append(Problem(variable, "is missing", declared.expected, fix))
        return None
    if text is None:
        return None
    try:
        return declared.parse(text)
    except ValueError:
        shown = "its value is not valid" if declared.secret else f"{text!r} is not valid"
        problems.append(Problem(variable, shown, declared.expected, f"{declared.sentence}"))
        return None
