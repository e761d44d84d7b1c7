"""The embedded Postgres: one server in one folder, reached through a Unix socket only."""

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from metachat.foundation.errors import Kind, Refusal
from metachat.operations.local import binaries, configuration, homes
from metachat.operations.local.children import die_with_parent
from metachat.operations.local.folder import write

PORT = 5432
SUPERUSER = "postgres"

# What a Unix socket's address may hold, on Linux, without its closing zero.
_LONGEST_SOCKET = 107

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class PostgresFailed(Refusal):
    """The embedded Postgres did not start."""

    code = "postgres_failed"
    kind = Kind.UNAVAILABLE


class PostgresOther(Refusal):
    """This folder holds a database that this version of Postgres cannot read."""

    code = "postgres_other_version"
    kind = Kind.CONFLICT


class PostgresInUse(Refusal):
    """Another process already runs the database of this folder."""

    code = "postgres_in_use"
    kind = Kind.CONFLICT


class Cluster:
    """One Postgres server, its data and its socket."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        """Describe a server in a folder; nothing is touched before `ensure`.

        settings: what differs from our defaults, in the words of postgresql.conf. Its data lies in the
        folder; for root, whom Postgres refuses to serve, in a folder of its own below /var/lib/metachat.
        """
        self.folder = folder.absolute()
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    @property
    def home(self) -> Path:
        """The folder that holds the data, the configuration and mostly the socket."""
        return homes.find(self.folder)

    @property
    def data(self) -> Path:
        """The data directory proper."""
        return self.home / "data"

    @property
    def sockets(self) -> Path:
        """The folder of the socket: `run` in the home, or a short private one when that is too long."""
        beside = self.home / "run"
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET:
            return beside
        return Path("/tmp") / f"metachat-{self.data.stat().st_ino:x}-{os.geteuid()}"  # noqa: S108 checked in ensure

    @property
    def log(self) -> Path:
        """Where the server writes its log."""
        return self.folder / "postgres.log"

    @property
    def superuser_password(self) -> str:
        """The password of the role `postgres`."""
        return (self.folder / "superuser.password").read_text().strip()

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server's process, while it runs under us."""
        return self._process

    def dsn(self, role: str, database: str, password: str) -> str:
        """Make the address of a database for a role."""
        socket = quote(str(self.sockets), safe="")
        credentials = f"{quote(role)}:{quote(password, safe='')}"
        return f"postgresql://{credentials}@/{quote(database)}?host={socket}&port={PORT}"

    def superuser_dsn(self, database: str = SUPERUSER) -> str:
        """Make the address of a database for the superuser."""
        return self.dsn(SUPERUSER, database, self.superuser_password)

    def ensure(self) -> None:
        """Make the data directory when there is none.

        Raises PostgresFailed, PostgresOther, NoAccount, HomeMissing.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        account = binaries.runner()
        homes.ensure(self.folder, account)
        if (self.data / "PG_VERSION").exists():
            self._check_version()
            return
        with _exclusively(self.folder / "initdb.lock"):
            if not (self.data / "PG_VERSION").exists():
                self._initdb(account)

    def start(self, timeout: float = 60, settings: Mapping[str, str] | None = None) -> None:
        """Start the server and wait until it takes connections; a server left over is stopped first.

        settings: what else differs from our defaults, from this start on.
        """
        self._settings = {**self._settings, **(settings or {})}
        self._take_lock()
        account = binaries.runner()
        self._stop_left_over()
        configuration.save(self.home, self._settings)
        self._ensure_socket_folder(account)
        argv = [
            str(binaries.programs(account) / "postgres"), "-D", str(self.data),
            "-k", str(self.sockets), "-p", str(PORT),
            "-c", f"config_file={self.home / 'postgresql.conf'}",
            "-c", f"hba_file={self.home / 'pg_hba.conf'}",
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=_environment(),
                user=account.user, group=account.group, extra_groups=account.extra_groups,
                # Of its own session, so that Ctrl-C stops the clients first; a fast shutdown when we die.
                start_new_session=True, preexec_fn=die_with_parent(signal.SIGINT),
            )  # fmt: skip
        self._wait_ready(time.monotonic() + timeout)

    def stop(self, timeout: float = 30) -> None:
        """Stop the server: fast, then immediate, then by force; nothing happens when none runs."""
        process, self._process = self._process, None
        if process is not None:
            for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
                    break
        if self._lock is not None:
            if self.sockets.parent != self.home:
                with contextlib.suppress(OSError):  # not empty: then another one's, or in use after all
                    self.sockets.rmdir()
            os.close(self._lock)
            self._lock = None

    def destroy(self) -> None:
        """Remove everything that `ensure` made, the data included; for tests and uninstalling."""
        self.stop()
        self._stop_left_over()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.home)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(binaries.major()):
            raise PostgresOther(
                f"{self.data} was made by Postgres {found}; this version brings {binaries.major()}."
            )

    def _initdb(self, account: binaries.Account) -> None:
        """Make the data directory beside its place and move it in, so that half a one never counts."""
        making = Path(tempfile.mkdtemp(prefix=".making-", dir=self.home))
        try:
            password = secrets.token_urlsafe(24)
            given = making / "password"
            write(given, f"{password}\n", 0o600)
            _give(making, account)
            _give(given, account)
            fast = ["--no-sync"] if self._settings.get("fsync") == "off" else []
            argv = [
                str(binaries.programs(account) / "initdb"), "-D", str(making / "data"),
                "-U", SUPERUSER, f"--pwfile={given}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale=C", f"--lc-ctype={configuration.letters()}",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions", *fast,
            ]  # fmt: skip
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, cwd="/", env=_environment(),
                user=account.user, group=account.group, extra_groups=account.extra_groups,
            )  # fmt: skip
            if done.returncode != 0:
                raise PostgresFailed(f"initdb ended with {done.returncode}: {done.stderr.strip()[-500:]}")
            write(self.folder / "superuser.password", f"{password}\n", 0o600)
            (making / "data").rename(self.data)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def _take_lock(self) -> None:
        if self._lock is not None:
            return
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise PostgresInUse(str(self.folder)) from error
        self._lock = lock

    def _stop_left_over(self) -> None:
        """Stop a server whose supervisor was killed; a stale pid file is Postgres's own to judge."""
        pid = self._pid()
        for number, patience in ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            if pid is None or not self._is_ours(pid):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + patience
            while self._is_ours(pid) and time.monotonic() < deadline:
                time.sleep(0.02)

    def _pid(self) -> int | None:
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        return None

    def _is_ours(self, pid: int) -> bool:
        # A pid may have been given to another program since; the server works in its data directory.
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cwd").samefile(self.data)
        return False

    def _ensure_socket_folder(self, account: binaries.Account) -> None:
        """Make the socket's folder; one in /tmp must be ours alone, since anyone may make one there."""
        try:
            self.sockets.mkdir(mode=0o700)
            _give(self.sockets, account)
        except FileExistsError:
            found = self.sockets.lstat()
            owner = os.geteuid() if account.user is None else account.user
            if found.st_uid != owner or found.st_mode & 0o7777 != 0o700 or self.sockets.is_symlink():
                raise PostgresFailed(f"{self.sockets} exists, and is not a private folder of ours.") from None

    def _wait_ready(self, deadline: float) -> None:
        assert self._process is not None
        while not self._is_ready():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                self.stop()
                what = "is not ready in time" if ended is None else f"ended with {ended}"
                raise PostgresFailed(f"It {what}; the last lines of {self.log}:\n{self._last_lines()}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        # The last line of the pid file is the server's own word, the one that pg_ctl waits for.
        with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            ours = self._process is not None and int(lines[0]) == self._process.pid
            return ours and lines[7].strip() == "ready"
        return False

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])


def _environment() -> dict[str, str]:
    # Nothing of ours: PGDATA, LC_ALL and the like would have their own ideas.
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _give(path: Path, account: binaries.Account) -> None:
    if account.user is not None and account.group is not None:
        os.chown(path, account.user, account.group)


@contextlib.contextmanager
def _exclusively(path: Path) -> Iterator[None]:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
