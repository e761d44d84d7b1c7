"""The installation whose keys are rotated: its store, its database, and how its processes start anew."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metachat.foundation.keyring import Keyring
from metachat.foundation.settings import Secret
from metachat.foundation.settings.sources import of_process
from metachat.operations import journal
from metachat.operations.keys.model import Holder
from metachat.operations.local import state
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import Place, Store, StoreReadOnly, handing, open_store
from metachat.operations.secrets.known import DATABASES

# As the owner of the tables: the roles of api and worker may not change all that is moved.
DATABASE = "owner_database_url"

# Reached by whoever may be `postgres` on the database's machine.
_LOCAL_SUPERUSER = "postgresql://postgres@/postgres?host=/var/run/postgresql"


@dataclass(frozen=True)
class Installation:
    """Where keys are kept and used; `say` tells people how far it is, `patience` is in seconds."""

    place: Place
    say: Callable[[str], None]
    patience: float = 600.0

    @property
    def data(self) -> Path:
        """The data folder of this machine."""
        return self.place.data_dir

    def store(self, name: str) -> Store:
        """The store that has a secret: addresses of the embedded database never leave the data folder."""
        if name in DATABASES and (self.data / "postgres").is_dir():
            return open_store(replace(self.place, address=""))
        return open_store(self.place)

    def database(self, name: str = DATABASE) -> str:
        """The address of the database: as this process was given it, or from the store."""
        given = of_process(self.place.environ).text(name)
        return given or self.store(name).get(name).reveal()

    def superuser(self) -> str:
        """The address of the database's administrator: of the embedded one, or by the account `postgres`."""
        cluster = Cluster(self.data / "postgres")
        embedded = (cluster.folder / "superuser.password").exists()
        return cluster.superuser_dsn() if embedded else _LOCAL_SUPERUSER

    def ring(self, name: str) -> Keyring:
        """The keys of a name that the store has."""
        return Keyring.of(self.store(name).get(name))

    def keep(self, name: str, value: Secret) -> None:
        """Put a value into the store, and where processes of `metachat up` read it at their next start.

        Raises StoreReadOnly where something else than the store says what the processes get.
        """
        given = of_process(self.place.environ).values.get(name)
        if given is not None and given.text and (given.source == "environment" or given.told_as):
            raise StoreReadOnly(
                f"{name} is given in the environment, which would go on to win over the store.",
                f"Take METACHAT_{name.upper()} out of the environment, and put it into the store.",
            )
        self.store(name).put(name, value)
        handing.renew(name, value, handing.default_folder(self.data))

    def note(self, what: str, about: str) -> None:
        """Write a step into the journal."""
        journal.record(self.data, what, about)

    def restart(self, behind: Sequence[Holder]) -> Holder | None:
        """Ask one of these processes to make way for a new one, when `metachat up` runs it here."""
        with contextlib.suppress(state.NothingRuns):
            ours = {running.pid for running in state.read(self.data).processes}
            for holder in behind:
                if holder.host == socket.gethostname() and holder.pid in ours:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(holder.pid, signal.SIGTERM)
                    return holder
        return None
