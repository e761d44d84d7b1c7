"""`metachat up`: from a folder to a running platform, step by step, and down again."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import PREFIX, Settings
from metachat.operations.backups import archiving
from metachat.operations.local import binaries, folder, keys, listening, state
from metachat.operations.local.children import Child, die_with_parent
from metachat.operations.local.postgres import NO_SETTINGS, Cluster
from metachat.operations.local.supervisor import Supervisor
from metachat.operations.secrets import handing

READY_SECONDS = 60.0
OWNER_FILE = "owner.txt"

# The module that runs our processes; operations never import what it imports.
CHILD = "metachat.cli.child"


class NotReady(Refusal):
    """The platform did not get ready."""

    code = "not_ready"
    kind = Kind.UNAVAILABLE


class OwnDatabase(Refusal):
    """`metachat up` brings its own database, but the environment names another one."""

    code = "own_database"
    kind = Kind.INVALID
    exit_code = 78  # EX_CONFIG


class StepFailed(Refusal):
    """A step of the start failed."""

    code = "step_failed"
    kind = Kind.UNAVAILABLE

    def __init__(self, exit_code: int, words: str) -> None:
        self.exit_code = exit_code
        super().__init__(words)


@dataclass(frozen=True, slots=True)
class Up:
    """What to start; `demo` names what fills the platform at the first start, None for an empty one."""

    settings: Settings
    demo: str | None = "demo-seed"
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.settings.data_dir.absolute()

    @property
    def local_address(self) -> str:
        """Where this machine reaches the platform, even when it listens everywhere."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 read, not bound
        host = self.settings.host
        host = everywhere.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{host}:{self.settings.port}"

    @property
    def api_processes(self) -> int:
        """One per core, at least two, unless told otherwise."""
        return self.settings.workers or max(2, len(os.sched_getaffinity(0)))


class Steps:
    """Says each step when it is done, with the time it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[list[str]]:
        """Time a step; what the caller puts into the list is said beside its name."""
        began, words = time.monotonic(), list[str]()
        yield words
        self._say(f"  {name:<12} {', '.join(words):<58} {time.monotonic() - began:5.1f} s")


def run(up: Up, say: Callable[[str], None]) -> None:
    """Start everything, keep it running until a signal, and stop everything.

    Raises OwnDatabase, NotReady, StepFailed; and what `folder.claim`, `listening.listen`, `Cluster` refuse.
    """
    _refuse_another_database()
    steps, began = Steps(say), time.monotonic()
    say(f"metachat {folder.version()}")
    with steps("checks") as words:
        claim = folder.claim(up.data)
        socket = listening.listen(up.settings.host, up.settings.port)
        words += [f"data folder {up.data}", f"port {up.settings.port}"]
    handed = handing.default_folder(up.data)
    cluster = Cluster(up.data / "postgres")
    supervisor = Supervisor(cluster, up.data, up.local_address, say)
    try:
        with supervisor.signals():
            try:
                up, elsewhere = _secrets(up, handed, steps)
                _database(cluster, up, elsewhere, steps)
                _processes(up, supervisor, socket.fileno(), steps)
                welcome = _first_start(up, supervisor, steps)
                if not supervisor.stopping:
                    say(f"\nReady in {time.monotonic() - began:.1f} s.\n{_greeting(up, welcome)}\n")
                supervisor.watch()
            except StepFailed:
                if not supervisor.stopping:  # Ctrl-C reaches the step's process as well
                    raise
            finally:
                say("Stopping: letting the processes finish what they have in hand ...")
                supervisor.stop()
                say("Stopped; nothing is left running.")
    finally:
        (up.data / state.STATE_FILE).unlink(missing_ok=True)
        handing.clear(handed)
        socket.close()
        claim.release()


def _refuse_another_database() -> None:
    named = [PREFIX + name.upper() for name in keys.ROLES if PREFIX + name.upper() in os.environ]
    if named:
        raise OwnDatabase(
            f"Unset {', '.join(named)}; or, to use that database, run `metachat migrate`, `metachat api`"
            " and `metachat worker` instead."
        )


def _secrets(up: Up, folder: Path, steps: Steps) -> tuple[Up, list[str]]:
    """Hand secrets from elsewhere than the data folder over as files; tells which they are."""
    if not handing.is_needed(up.environment):
        return up, []
    with steps("secrets") as words:
        # In a child: the library of a store would stay in the supervisor for good.
        names = json.loads(_run_child(up, "hand", str(folder)))
        theirs = [name for name in names if name in keys.ROLES]
        if theirs:
            raise OwnDatabase(f"The secrets store or systemd's credentials hold {', '.join(theirs)}.")
        words.append(f"{len(names)} handed over in memory")
    return replace(up, environment=handing.environment_with(folder, up.environment)), names


def _database(cluster: Cluster, up: Up, elsewhere: list[str], steps: Steps) -> None:
    with steps("database") as words:
        made = not (cluster.folder / "superuser.password").exists()
        cluster.ensure()
        archive = archiving.prepare(cluster) if up.settings.backup_target else NO_SETTINGS
        cluster.start(settings=archive)
        words.append(f"Postgres {binaries.major()}, {'made' if made else 'with the data of before'}")
    with steps("schema") as words:
        keys.ensure(up.data, cluster, elsewhere)
        applied = _run_child(up, "prepare").splitlines()
        words.append(f"{len(applied)} migrations applied" if applied else "up to date")


def _run_child(up: Up, command: str, *arguments: str) -> str:
    """Run a command of ours to its end and return what it printed; raises StepFailed with its words."""
    argv = [sys.executable, "-m", CHILD, command, *arguments]
    done = subprocess.run(
        argv, env=_environment(up), capture_output=True, text=True, check=False,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )  # fmt: skip
    if done.returncode != 0:
        raise StepFailed(done.returncode, done.stderr.strip()[-2000:] or f"`metachat {command}` failed")
    return done.stdout


def _processes(up: Up, supervisor: Supervisor, socket: int, steps: Steps) -> None:
    with steps("processes") as words:
        environment = _environment(up)
        logs = up.data / "logs"
        logs.mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-m", CHILD]
        for number in range(1, up.api_processes + 1):
            argv = [*command, "api", str(socket)]
            supervisor.add(Child(f"api {number}", argv, environment, logs / f"api-{number}.log", (socket,)))
        supervisor.add(Child("worker", [*command, "worker"], environment, logs / "worker.log"))
        if up.settings.backup_target:
            supervisor.add(Child("archive", [*command, "archive"], environment, logs / "archive.log"))
            words.append(f"backups to {up.settings.backup_target.partition('?')[0]}")
        supervisor.save()
        _await_ready(up, supervisor)
        words += [f"{up.api_processes} api", "1 worker"]


def _environment(up: Up) -> dict[str, str]:
    """Settings for the children; secrets they read themselves, from files."""
    return {
        **up.environment,
        "METACHAT_DATA_DIR": str(up.data),
        "METACHAT_HOST": up.settings.host,
        "METACHAT_PORT": str(up.settings.port),
        "PYTHONUNBUFFERED": "1",
    }


def _await_ready(up: Up, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + READY_SECONDS
    healthy, health = False, ""
    while not healthy and not supervisor.stopping:
        supervisor.step(timeout=0.05)
        for child in supervisor.failures():
            raise NotReady(f"{child.name} keeps ending. The last lines of {child.log}:\n{child.last_lines()}")
        if time.monotonic() > deadline:
            raise NotReady(f"{up.local_address}/health/ready says: {health}. See the logs in {up.data}/logs.")
        healthy, health = state.check_health(up.local_address, timeout=2)


def _first_start(up: Up, supervisor: Supervisor, steps: Steps) -> str:
    """Fill an empty platform, once; tells where the owner's sign-in is."""
    kept = up.data / OWNER_FILE
    if kept.exists():
        return f"see {kept}"
    if up.demo is None:
        return "none yet; make one with `metachat tenants create` and `metachat user create`"
    with steps("demo shop") as words:
        made = json.loads(_run_child(up, up.demo).splitlines()[-1])
        words.append(f"{made['documents']} documents")
    with steps("reading") as words:
        read = json.loads(_run_child(up, "demo-wait"))
        words.append(f"{read['read']} of {read['all']} documents are ready to answer from")
    if made["password"] is None:
        return f"{made['email']}; forgot the password? metachat user reset-password"
    folder.write(kept, f"{made['email']}\n{made['password']}\n", 0o600)
    return f"{made['email']}, password {made['password']} (kept in {kept})"


def _greeting(up: Up, owner: str) -> str:
    address = up.settings.public_url or up.local_address
    demo = [] if up.demo is None else [f"  Demo shop   {address}/demo"]
    lines = [
        *demo,
        f"  Dashboard   {address}/",
        f"  Sign in     {owner}",
        f"  Data        {up.data}",
        "  Stop        Ctrl-C here, or `metachat down`",
    ]
    return "\n".join(lines)
