"""From METACHAT_SECRETS_STORE to the store that it names; only that store's library is imported."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from metachat.foundation.errors import Kind
from metachat.foundation.settings import SECRETS_FILE, data_dir
from metachat.foundation.settings.sources import of_process
from metachat.operations.secrets.contract import Store, StoreRefusal

EXPECTED = (
    "age:/etc/metachat/secrets.age, file:/etc/metachat/secrets.env, systemd:, vault:https://host:8200/mount/path,"
    " ssm:region/prefix, secretsmanager:region/prefix, doppler:project/config or env:"
)
IDENTITY_FILE = "secrets.identity"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class UnknownStore(StoreRefusal):
    """METACHAT_SECRETS_STORE names no store."""

    code, kind = "unknown_store", Kind.INVALID
    exit_code = 78  # EX_CONFIG


@dataclass(frozen=True, slots=True)
class Place:
    """Where secrets are kept: the setting, and what the stores need to know of this process."""

    address: str
    data_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    production: bool = False

    @property
    def parts(self) -> SplitResult:
        """What follows the scheme, split as a URL is."""
        return urlsplit(self.address.partition(":")[2])

    @property
    def options(self) -> dict[str, str]:
        """What follows the question mark."""
        return dict(parse_qsl(self.parts.query))

    def file(self, option: str) -> Path | None:
        """The file that an option names; None when it is not given."""
        return Path(self.options[option]) if self.options.get(option) else None

    def service(self, option: str, otherwise: str) -> str:
        """The address of a service that an option may replace; raises UnknownStore."""
        return secure(self.options.get(option) or otherwise)


def place_of(environ: Mapping[str, str]) -> Place:
    """Where an environment's settings say that the secrets are.

    The settings are not validated as a whole: it is here that what is wrong with them is mended.
    """
    gathered = of_process(environ)
    production = gathered.text("production").lower() not in ("", "false", "0", "no", "off")
    return Place(gathered.text("secrets_store"), data_dir(environ).absolute(), environ, production)


def open_store(place: Place) -> Store:
    """Open the store that a place names, the data folder's own file by default; raises StoreRefusal."""
    if not place.address:
        return _file(place)
    scheme = place.address.partition(":")[0]
    if scheme not in _OPENERS:
        raise UnknownStore(f"METACHAT_SECRETS_STORE begins with {scheme!r}.", f"Expected {EXPECTED}.")
    return _OPENERS[scheme](place)


def secure(address: str) -> str:
    """Return the address of a service when what it is sent stays private; raises UnknownStore."""
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return address.rstrip("/")
    raise UnknownStore(f"{parts.scheme}://{parts.netloc} would send secrets in the clear.", "Use https://.")


def _stores(module: str) -> Any:
    return importlib.import_module(f"metachat.operations.secrets.stores.{module}")


def _path(place: Place) -> Path:
    if not place.parts.path:
        raise UnknownStore("METACHAT_SECRETS_STORE names no file.", f"Expected {EXPECTED}.")
    return Path(place.parts.path).absolute()


def _two(place: Place, what: str) -> tuple[str, str]:
    first, _, second = place.parts.path.strip("/").partition("/")
    if not first or not second:
        raise UnknownStore(f"METACHAT_SECRETS_STORE lacks {what}.", f"Expected {EXPECTED}.")
    return first, second


def _age(place: Place) -> Store:
    handed = Path(place.environ.get("CREDENTIALS_DIRECTORY") or place.data_dir) / IDENTITY_FILE
    identity = handed if handed.exists() else place.data_dir / IDENTITY_FILE
    return _stores("age").AgeStore(_path(place), (place.file("identity") or identity).absolute())


def _file(place: Place) -> Store:
    path = _path(place) if place.address else place.data_dir / SECRETS_FILE
    return _stores("file").FileStore(path.absolute())


def _systemd(place: Place) -> Store:
    return _stores("systemd").SystemdStore(place.environ.get("CREDENTIALS_DIRECTORY"))


def _environment(place: Place) -> Store:
    refuse = _stores("environment").refuse_in_production
    if place.production:
        refuse()
    return _stores("environment").EnvironmentStore(place.environ)


def _vault(place: Place) -> Store:
    mount, path = _two(place, "the mount and the path")
    vault = _stores("vault")
    server = secure(f"{place.parts.scheme}://{place.parts.netloc}")
    ways = [place.file(option) for option in ("token_file", "role_id_file", "secret_id_file")]
    return vault.VaultStore(vault.Address(server, mount, path, *ways, place.options.get("namespace")))


def _ssm(place: Place) -> Store:
    region, prefix = _two(place, "the region and the prefix")
    return _stores("ssm").ParameterStore(region, prefix, _endpoint(place))


def _secrets_manager(place: Place) -> Store:
    region, prefix = _two(place, "the region and the prefix")
    return _stores("secretsmanager").SecretsManagerStore(region, prefix, _endpoint(place))


def _endpoint(place: Place) -> str | None:
    return place.service("endpoint", "") if place.options.get("endpoint") else None


def _doppler(place: Place) -> Store:
    project, config = _two(place, "the project and the config")
    token = place.file("token_file") or place.data_dir / "doppler.token"
    api = place.service("api", "https://api.doppler.com")
    return _stores("doppler").DopplerStore(api, project, config, token.absolute())


_OPENERS: dict[str, Callable[[Place], Store]] = {
    "age": _age,
    "file": _file,
    "systemd": _systemd,
    "vault": _vault,
    "ssm": _ssm,
    "secretsmanager": _secrets_manager,
    "doppler": _doppler,
    "env": _environment,
}

SCHEMES = tuple(_OPENERS)
