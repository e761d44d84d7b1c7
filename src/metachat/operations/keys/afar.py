"""A site's servers as the installation whose keys are rotated, from the machine of its operator.

The site's store comes first, as everywhere: what a server holds can be lost, what the store has cannot. A
server's processes are restarted one after the other by the same program that provisioning rolls them with.
"""

import contextlib
import json
import shlex
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from typing_extensions import override

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings.clean import without_secrets
from metachat.operations.keys.installation import DATABASE, Installation
from metachat.operations.keys.model import Holder
from metachat.operations.provisioning.arriving import Door, ssh, ssh_argv
from metachat.operations.secrets import Store, known, open_store
from metachat.operations.secrets.contract import read_all
from metachat.operations.site import Server, Site

# Draining and starting take some 15 s; the rolling program itself gives up after half a minute.
_ROLLING = 150
_PORT = 5432

# Joins its standard input and output to the database: nothing has to be let through by SSH or the firewall.
_RELAY = """
import os, select, socket, sys
target = sys.argv[1]
if target.startswith("/"):
    database = socket.socket(socket.AF_UNIX)
    database.connect(target)
else:
    database = socket.create_connection(("127.0.0.1", int(target)))
while True:
    ready, _, _ = select.select([0, database], [], [])
    if 0 in ready:
        asked = os.read(0, 65536)
        if not asked:
            break
        database.sendall(asked)
    if database in ready:
        told = database.recv(65536)
        if not told:
            break
        while told:
            told = told[os.write(1, told):]
"""

# Puts secrets in place where they differ, and restarts the unit of a process, when one is named.
_RENEW = """
import json, os, subprocess, sys
told = json.load(sys.stdin)
os.umask(0o077)
for name, value in told["secrets"].items():
    path = os.path.join("/etc/metachat/credentials", name)
    if not os.path.exists(path) or open(path).read() == value:
        continue
    with open(path + ".new", "w") as file:
        file.write(value)
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
show = ["systemctl", "show", "-p", "Id,MainPID", "metachat-api@*.service", "metachat-worker@*.service"]
for block in subprocess.run(show, capture_output=True, text=True, check=True).stdout.split("\\n\\n"):
    unit = dict(line.split("=", 1) for line in block.splitlines() if line)
    if told["process"] and unit.get("MainPID") == str(told["process"]):
        name = unit["Id"]
        number = name.partition("@")[2].partition(".")[0]
        roll = ["/usr/local/lib/metachat/roll", number]
        sys.exit(subprocess.run(roll if "-api@" in name else ["systemctl", "restart", name]).returncode)
"""


class ServerRefused(Refusal):
    """A server did not do what a rotation takes; put that right, then go on with --resume."""

    code, kind = "server_refused", Kind.UNAVAILABLE


@dataclass(frozen=True)
class OnServers(Installation):
    """The installation on a site's servers; `relays` is the folder where its database is found."""

    site: Site = field(kw_only=True)
    door: Door = field(kw_only=True)
    relays: Path = field(kw_only=True)

    @override
    def store(self, name: str) -> Store:
        """The site's store has every secret."""
        return open_store(self.place)

    @override
    def database(self, name: str = DATABASE) -> str:
        """The database as it is reached through SSH."""
        parts = urlsplit(self.store(name).get(name).reveal())
        credentials = parts.netloc.rpartition("@")[0]
        return f"postgresql://{credentials}@{parts.path}?host={quote(str(self.relays / 'database'))}"

    @override
    def superuser(self) -> str:
        """The database's administrator, reached through SSH."""
        return f"postgresql://postgres@/postgres?host={quote(str(self.relays / 'administrator'))}"

    @override
    def restart(self, behind: Sequence[Holder]) -> Holder | None:
        """Restart one of these processes with the secrets as they are in the store now."""
        by_name = {server.name: server for server in self.site.servers}
        for holder in behind:
            if holder.host in by_name:
                self.say(f"  {holder.host}: {holder.role} is restarted")
                self._renew(by_name[holder.host], holder.pid)
                return holder
        return None

    def settle(self) -> None:
        """Leave every server with the secrets of the store, those that no running process reads too."""
        for server in self.site.servers:
            if {"app", "worker"} & set(server.roles):
                self._renew(server, 0)

    def _renew(self, server: Server, process: int) -> None:
        values = read_all(open_store(self.place))
        rotated = {*known.DATABASES, *known.MADE}
        told = {name: value.reveal() for name, value in values.items() if name in rotated}
        command = f"sudo python3 -I -c {shlex.quote(_RENEW)}"
        content = json.dumps({"secrets": told, "process": process})
        ran = ssh(server, self.door, server.user, command, content, _ROLLING)
        if ran.returncode != 0:
            raise ServerRefused(f"{server.name}: {(ran.stderr or ran.stdout).strip()[-500:]}")


@contextlib.contextmanager
def relayed(site: Site, door: Door) -> Iterator[Path]:
    """The site's database as sockets in a private folder, each connection an SSH session of its own."""
    (server,) = site.with_role("database")
    ways = {
        "database": f"python3 -I -c {shlex.quote(_RELAY)} {_PORT}",
        "administrator": f"sudo -u postgres python3 -I -c {shlex.quote(_RELAY)}"
        f" /var/run/postgresql/.s.PGSQL.{_PORT}",
    }
    with tempfile.TemporaryDirectory(prefix="metachat-relay-") as folder, contextlib.ExitStack() as opened:
        for name, command in ways.items():
            (Path(folder) / name).mkdir(mode=0o700)
            argv = ssh_argv(server, door, server.user, command)
            opened.enter_context(_relay(Path(folder) / name / f".s.PGSQL.{_PORT}", argv))
        yield Path(folder)


@contextlib.contextmanager
def _relay(path: Path, argv: list[str]) -> Iterator[None]:
    """Answer at a socket: whoever connects is joined to a program of their own."""
    running: list[subprocess.Popen[bytes]] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=_answer, args=(listening, argv, running), daemon=True)
        thread.start()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=5)
            for process in running:
                process.terminate()
                process.wait(timeout=5)


def _answer(listening: socket.socket, argv: list[str], running: list["subprocess.Popen[bytes]"]) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # closed: the rotation is over
            return
        with connection:
            running[:] = [process for process in running if process.poll() is None]
            running.append(
                subprocess.Popen(
                    argv, stdin=connection.fileno(), stdout=connection.fileno(), env=without_secrets()
                )
            )
