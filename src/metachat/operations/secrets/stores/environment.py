"""A store in the environment of this process: for development, since every child would inherit it."""

from collections.abc import Mapping
from typing import NoReturn

from metachat.foundation.settings import PREFIX, Secret
from metachat.operations.secrets.contract import Described, SecretMissing, StoreForbidden, StoreReadOnly
from metachat.operations.secrets.known import known

_FIX = "Set the variable in the shell, or choose a store that can be written."


class EnvironmentStore:
    """Secrets in METACHAT_... variables; they can only be read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Keep the environment."""
        self.environ = environ

    @property
    def address(self) -> str:
        """The same everywhere."""
        return "env:"

    def names(self) -> list[str]:
        """List the names, sorted."""
        return sorted(name for name in known() if self.environ.get(PREFIX + name.upper()))

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        value = self.environ.get(PREFIX + name.upper())
        if not value:
            raise SecretMissing(name)
        return Secret(value)

    def add(self, name: str, value: Secret) -> None:
        """Refuse."""
        raise StoreReadOnly("A process cannot keep anything in the environment of others.", _FIX)

    put = add

    def delete(self, name: str) -> None:
        """Refuse."""
        raise StoreReadOnly("A process cannot change the environment of others.", _FIX)

    def describe(self, name: str) -> Described:
        """Tell that it is there; the environment keeps no dates."""
        self.get(name)
        return Described(name)


def refuse_in_production() -> NoReturn:
    """Say why not; raises StoreForbidden."""
    raise StoreForbidden(
        "In production, secrets do not live in the environment: children and crash reports inherit it.",
        "Choose another METACHAT_SECRETS_STORE; `metachat secrets export --to STORE` copies them there.",
    )
