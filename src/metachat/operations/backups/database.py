"""A running Postgres, asked through its own programs: operations bring no driver of their own."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from metachat.foundation.settings import Secret
from metachat.operations.backups.contract import ProgramFailed
from metachat.operations.local import binaries
from metachat.operations.local.postgres import PORT, SUPERUSER, Cluster

# In the database of the superuser, so that the product's schema stays the product's.
OURS = "postgres"


@dataclass(frozen=True, slots=True)
class Server:
    """How a Postgres is reached as its superuser; password None where the operating system vouches for us.

    `replicator` is the role that copies the whole of it.
    """

    programs: Path
    host: str
    port: int = PORT
    user: str = SUPERUSER
    password: Secret | None = field(default=None, repr=False)
    replicator: str = SUPERUSER

    @classmethod
    def embedded(cls, cluster: Cluster) -> "Server":
        """The embedded one of a data folder."""
        folder = binaries.programs(binaries.runner())
        return cls(folder, str(cluster.sockets), password=Secret(cluster.superuser_password))

    @classmethod
    def debian(cls) -> "Server":
        """The one of this machine's system, for its account `postgres`."""
        return cls(binaries.DEBIAN, "/var/run/postgresql", replicator="metachat_backup")

    def ask(self, sql: str, database: str = OURS, timeout: float = 60) -> list[list[str]]:
        """Run statements, each in a transaction of its own, and return the rows; raises ProgramFailed."""
        with self.environment() as environment:
            argv = [
                str(self.programs / "psql"), *self.arguments(), "-d", database,
                "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-f", "-",
            ]  # fmt: skip
            try:
                done = subprocess.run(
                    argv, input=sql, capture_output=True, text=True, env=environment, timeout=timeout,
                    check=False, cwd="/",
                )  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise ProgramFailed("Postgres did not answer in time.", "See whether it runs.") from error
        if done.returncode != 0:
            raise ProgramFailed(f"Postgres said: {done.stderr.strip()[-500:]}", "See whether it runs.")
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def one(self, sql: str, database: str = OURS) -> str:
        """Ask for a single value."""
        return self.ask(sql, database)[0][0]

    def arguments(self, user: str = "") -> list[str]:
        """What every program of Postgres is told."""
        return ["-h", self.host, "-p", str(self.port), "-U", user or self.user, "-w"]

    @contextlib.contextmanager
    def environment(self) -> Iterator[dict[str, str]]:
        """The environment of a program: nothing of ours, and the password in a file of ours alone."""
        plain = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "PGAPPNAME": "metachat backup"}
        if self.password is None:
            yield plain
            return
        handle, name = tempfile.mkstemp(prefix="metachat-pass-")
        try:
            escaped = self.password.reveal().replace("\\", "\\\\").replace(":", "\\:")
            os.write(handle, f"*:*:*:*:{escaped}\n".encode())
            yield {**plain, "PGPASSFILE": name}
        finally:
            os.close(handle)
            os.unlink(name)
