"""A store in systemd's credentials: a file each in $CREDENTIALS_DIRECTORY, put there when the unit starts."""

import os
from pathlib import Path

from metachat.foundation.settings import Secret
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import (
    Described,
    SecretMissing,
    StoreDamaged,
    StoreMissing,
    StoreReadOnly,
    fit_name,
    fit_names,
)

_FIX = "Change it where the unit takes it from (LoadCredentialEncrypted=), with systemd-creds encrypt."


class SystemdStore:
    """Secrets that systemd hands to this unit; they can only be read."""

    def __init__(self, folder: str | None) -> None:
        """Keep the folder; raises StoreMissing outside of a unit with credentials."""
        if not folder:
            raise StoreMissing(
                "$CREDENTIALS_DIRECTORY is not set.",
                "Start it as a unit with LoadCredential=, or choose another store.",
            )
        self.folder = Path(folder)

    @property
    def address(self) -> str:
        """The same for every unit."""
        return "systemd:"

    def names(self) -> list[str]:
        """List the names, sorted."""
        try:
            return fit_names(entry.name for entry in os.scandir(self.folder) if entry.is_file())
        except OSError as error:
            raise files.missing_or_unreadable(self.folder, error) from error

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        try:
            return Secret(files.read(self.folder / fit_name(name)).decode().rstrip("\n"))
        except StoreMissing as error:
            raise SecretMissing(name) from error
        except UnicodeDecodeError as error:
            raise StoreDamaged(f"The credential {name} is not text.", _FIX) from error

    def add(self, name: str, value: Secret) -> None:
        """Refuse."""
        raise StoreReadOnly("systemd's credentials are read-only.", _FIX)

    def put(self, name: str, value: Secret) -> None:
        """Refuse."""
        raise StoreReadOnly("systemd's credentials are read-only.", _FIX)

    def delete(self, name: str) -> None:
        """Refuse."""
        raise StoreReadOnly("systemd's credentials are read-only.", _FIX)

    def describe(self, name: str) -> Described:
        """Tell that it is there; systemd keeps no date of its making."""
        if not (self.folder / fit_name(name)).is_file():
            raise SecretMissing(name)
        return Described(name)
