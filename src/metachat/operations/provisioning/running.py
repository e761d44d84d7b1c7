"""Sends the child to each server in turn, and tells what it tells."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings.clean import without_secrets
from metachat.operations import journal
from metachat.operations.drift import background
from metachat.operations.provisioning.arriving import Door, arrive
from metachat.operations.provisioning.order import Done, Failed, Mode, Order, Sealed, Step, Told
from metachat.operations.provisioning.release import Release, pack
from metachat.operations.site import Server, Site


class ProvisioningRuns(Refusal):
    """Another provisioning of this site is under way; wait for its end."""

    code, kind = "provisioning_runs", Kind.CONFLICT


class ProxyMissing(Refusal):
    """The proxy is not installed here: install metachat with its extra `servers`."""

    code, kind = "proxy_missing", Kind.UNAVAILABLE


class ProvisioningFailed(Refusal):
    """A server could not be brought to its state; run `metachat provision` again to go on."""

    code, kind = "provisioning_failed", Kind.UNAVAILABLE


class MirrorAway(ProvisioningFailed):
    """The server could not fetch packages; run `metachat provision` again when its mirror answers."""

    code = "mirror_away"


class DiskRanFull(ProvisioningFailed):
    """The server's disk ran full; make room there, and run `metachat provision` again to go on."""

    code = "disk_full"


class ServerLost(ProvisioningFailed):
    """The server stopped answering; run `metachat provision` again to go on."""

    code = "server_lost"


# What other programs say, in the order in which it is looked for.
_SIGNS: tuple[tuple[type[ProvisioningFailed], tuple[str, ...]], ...] = (
    (DiskRanFull, ("No space left on device", "not enough free space", "ENOSPC")),
    (MirrorAway, ("Failed to fetch", "Temporary failure resolving", "Could not connect", "Unable to locate",
                  "Could not resolve", "NewConnectionError", "No matching distribution", "Unable to fetch")),
    (ServerLost, ("SSHException", "EOFError", "Connection reset", "timed out", "Socket is closed")),
)  # fmt: skip


# The longest single step, the installation of the environment, takes minutes on a slow machine.
_SILENCE = 900


@dataclass(frozen=True, slots=True)
class Visit:
    """How a server's visit went: how many steps there were, and what changed."""

    server: str
    steps: int
    changed: list[str]


@dataclass(frozen=True, slots=True)
class Means:
    """What a visit needs besides the site: the way in, the secrets, and the data folder of this machine."""

    door: Door
    secrets: Mapping[str, str] = field(repr=False)
    data: Path


def provision(
    site: Site, servers: list[Server], mode: Mode, means: Means, say: Callable[[str, Told], None]
) -> list[Visit]:
    """Bring servers to their state, or tell what that would change.

    Raises ProvisioningRuns, ArrivalRefused, ProvisioningFailed.
    """
    visits: list[Visit] = []
    with alone(means.data), tempfile.TemporaryDirectory(prefix="metachat-release-") as folder:
        release = pack()
        for server in servers:
            with journal.recorded(means.data, mode if mode == "drift" else f"provision {mode}", server.name):
                order = _order(site, server, mode, means, release, Path(folder))
                visits.append(_visit(order, means.data, say))
    return visits


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold the lock of provisioning; raises ProvisioningRuns."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "provision.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProvisioningRuns from error
        yield


def _order(site: Site, server: Server, mode: Mode, means: Means, release: Release, folder: Path) -> Order:
    archive, lock = folder / "release.tar", folder / "requirements.lock"
    archive.write_bytes(release.archive)
    lock.write_text(release.lock)
    door = means.door
    arrival = arrive(server, door, _users(server, means.data))
    return Order(
        site=site, server=server, mode=mode, release=release.name, environment=release.environment,
        archive=str(archive), lock=str(lock), proxy=_caddy(), key=str(door.key),
        known_hosts=str(door.known_hosts), login_user=arrival.user, sudo_password=door.sudo_password,
        cores=arrival.cores, folder=arrival.folder,
        secrets=dict(means.secrets), background=background.kept(means.data, server.name),
    )  # fmt: skip


def _users(server: Server, data: Path) -> tuple[str, str]:
    """Who lets us in: the user of a bare server first, until a visit came to its end."""
    users = (server.first_user, server.user)
    return users[::-1] if (data / "entered" / server.name).exists() else users


def _caddy() -> str:
    found = Path(sys.executable).parent / "caddy"
    program = str(found) if found.exists() else shutil.which("caddy")
    if program is None:
        raise ProxyMissing
    return program


def _visit(order: Order, data: Path, say: Callable[[str, Told], None]) -> Visit:
    steps = 0
    changed: list[str] = []
    with contextlib.closing(_child(order)) as telling:
        for told in telling:
            say(order.server.name, told)
            if isinstance(told, Failed):
                raise _failure(order.server, told, steps, len(changed))
            if isinstance(told, Sealed):
                background.keep(data, order.server.name, told.background)
            if isinstance(told, Step):
                steps += 1
                changed += [told.name] if told.change else []
    if order.mode == "apply":
        (data / "entered").mkdir(exist_ok=True)
        (data / "entered" / order.server.name).touch()
    return Visit(order.server.name, steps, changed)


def _failure(server: Server, told: Failed, steps: int, changed: int) -> ProvisioningFailed:
    kinds = [kind for kind, signs in _SIGNS if any(sign in told.sentence for sign in signs)]
    done = f"{steps} steps were done before it, {changed} of them changed something; they stay done."
    detail = f"{server.name}: {told.step or told.code}: {told.sentence.strip()}\n{done}"
    return (kinds[0] if kinds else ProvisioningFailed)(detail, server=server.name, step=told.step)


def _child(order: Order) -> Generator[Told]:
    process = subprocess.Popen(
        [sys.executable, "-m", "metachat.operations.provisioning.child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=without_secrets(),
        # A Ctrl-C at the terminal is ours to handle: the child ends when we say so.
        start_new_session=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        done = False
        for line in _within(_SILENCE, process):
            told: Told = msgspec.json.decode(line, type=Told)
            done = done or isinstance(told, Done | Failed)
            yield told
        if not done:
            said = process.stderr.read().decode()[-6000:]
            yield Failed("ended", said or f"nothing was heard for {_SILENCE} s: timed out.")
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
        process.kill()
        process.wait()


def _within(seconds: float, process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    """The lines of a process; it is ended when it is silent for so long, as when a connection got lost."""
    assert process.stdout is not None
    while True:
        watch = threading.Timer(seconds, process.kill)
        watch.daemon = True
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            return
        yield line
