"""Before a visit: which user lets us in, whether they may become root, and whether the machine will do."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings.clean import without_secrets
from metachat.operations.site import Server

# The environment of a release takes 600 MB, the packages of a bare server about as much.
_NEEDED_MB = 1500
_PLACES = "/ /opt /var /tmp"
_SECONDS = 60


class ArrivalRefused(Refusal):
    """The server was not entered, and nothing was changed on it."""

    code, kind = "arrival_refused", Kind.UNAVAILABLE

    def __init__(self, server: Server, found: str, fix: str) -> None:
        """Say what was found and the next move."""
        super().__init__(f"{server.name} ({server.address}): {found}\n{fix}", server=server.name)


class Unreachable(ArrivalRefused):
    """The server does not answer; nothing was changed on it."""

    code = "server_unreachable"


class StrangeHostKey(ArrivalRefused):
    """The server shows another host key than before; nothing was changed on it."""

    code, kind = "host_key_changed", Kind.FORBIDDEN


class KeyRefused(ArrivalRefused):
    """The server does not take this SSH key; nothing was changed on it."""

    code, kind = "key_refused", Kind.FORBIDDEN


class SudoRefused(ArrivalRefused):
    """The user may not become root on the server; nothing was changed on it."""

    code, kind = "sudo_refused", Kind.FORBIDDEN


class SystemUnsupported(ArrivalRefused):
    """The server runs another system than Debian 13; nothing was changed on it."""

    code, kind = "system_unsupported", Kind.UNSUPPORTED


class DiskFull(ArrivalRefused):
    """The server's disk has too little room; nothing was changed on it."""

    code = "disk_full"


@dataclass(frozen=True, slots=True)
class Door:
    """How servers are entered: a key, the file of their known keys, and sudo's password where it asks."""

    key: Path
    known_hosts: Path
    sudo_password: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who lets us in, how many processors the machine has, and a folder there that is theirs alone."""

    user: str
    cores: int
    folder: str


def arrive(server: Server, door: Door, users: Sequence[str]) -> Arrival:
    """Find which of these users may enter, the likeliest first: who knocks in vain is soon banned.

    Raises ArrivalRefused.
    """
    user = _user(server, door, users)
    _may_be_root(server, door, user)
    cores = _fit(server, door, user)
    # What passes through it on its way to its place may be a secret.
    made = ssh(server, door, user, '[ -n "$TMPDIR" ] || TMPDIR=$(mktemp -d); echo "$TMPDIR"')
    return Arrival(user, cores, made.stdout.strip())


def ssh(
    server: Server, door: Door, user: str, command: str, stdin: str = "", seconds: float = _SECONDS
) -> "subprocess.CompletedProcess[str]":
    """Run a command on a server over SSH; raises Unreachable when it takes too long."""
    try:
        return subprocess.run(
            ssh_argv(server, door, user, command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=without_secrets(),
        )
    except subprocess.TimeoutExpired as error:
        raise Unreachable(server, f"no end within {seconds:.0f} s.", "See what it is busy with.") from error


def ssh_argv(server: Server, door: Door, user: str, command: str) -> list[str]:
    """The program that runs a command on a server."""
    return [
        shutil.which("ssh") or "ssh", "-i", str(door.key), "-p", str(server.port),
        "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10",
        "-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={door.known_hosts}",
        "-o", "LogLevel=ERROR", f"{user}@{server.address}", command,
    ]  # fmt: skip


def _user(server: Server, door: Door, users: Sequence[str]) -> str:
    if not door.key.is_file():
        raise KeyRefused(server, f"there is no key {door.key} here.", "Name another one with --key.")
    said = ""
    for user in dict.fromkeys(users):
        answer = ssh(server, door, user, "true")
        if answer.returncode == 0:
            return user
        said = answer.stderr.strip()
        if "HOST IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            raise StrangeHostKey(
                server, "its host key is not the one of the last visit.",
                f"If you made it anew: ssh-keygen -R {server.address} -f {door.known_hosts}",
            )  # fmt: skip
        if "Permission denied" not in said and "Too many authentication" not in said:
            raise Unreachable(
                server, said or "no answer.", "Check address, port and firewall; then run this again."
            )
    raise KeyRefused(
        server, f"neither {' nor '.join(dict.fromkeys(users))} may enter with {door.key}.",
        "Put its public half into authorized_keys there, or name another key with --key.",
    )  # fmt: skip


def _may_be_root(server: Server, door: Door, user: str) -> None:
    if user == "root" or ssh(server, door, user, "sudo -n true").returncode == 0:
        return
    if not door.sudo_password:
        raise SudoRefused(
            server,
            f"sudo asks {user} for a password.",
            "Give it with --sudo-password-file FILE, or - for a question.",
        )
    if ssh(server, door, user, "sudo -k -S -p '' true", f"{door.sudo_password}\n").returncode != 0:
        raise SudoRefused(
            server, f"sudo does not take this password of {user}.", "Check it, and run this again."
        )


def _fit(server: Server, door: Door, user: str) -> int:
    """Make sure that the machine will do; tells its processors."""
    ask = f". /etc/os-release; echo $ID $VERSION_ID; nproc; df -Pm {_PLACES}; ls -d /opt/metachat/current"
    system, cores, *lines = [*ssh(server, door, user, f"{ask} 2>&1 || true").stdout.splitlines(), "", ""]
    if system.strip() != "debian 13":
        raise SystemUnsupported(
            server, f"it runs {system.strip() or 'something unknown'}.",
            "Give metachat a server with Debian 13 (trixie).",
        )  # fmt: skip
    # What is installed already needs little more.
    needed = 200 if "/opt/metachat/current" in lines else _NEEDED_MB
    for words in map(str.split, lines):
        if len(words) == 6 and words[3].isdigit() and int(words[3]) < needed:
            raise DiskFull(
                server, f"{words[5]} has {words[3]} MB left, and {needed} MB are needed.",
                "Make room, and run this again.",
            )  # fmt: skip
    return int(cores) if cores.isdigit() else 2
