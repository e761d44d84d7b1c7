"""The engine of our own: `pg_basebackup` as one stream, and `tar` back."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from metachat.foundation.settings.clean import without_secrets
from metachat.operations.backups.contract import Facts, ProgramFailed, Reading
from metachat.operations.backups.database import Server
from metachat.operations.local import binaries
from metachat.operations.local.children import die_with_parent

_FACTS = """
SELECT (SELECT system_identifier FROM pg_control_system()),
       current_setting('server_version_num')::int / 10000, (SELECT timeline_id FROM pg_control_checkpoint()),
       (SELECT sum(pg_database_size(oid)) FROM pg_database)
"""
_DONE = re.compile(rb"\((\d+)%\)")
_LEVELS = {"gzip": "client-gzip:1", "zstd": "client-zstd:3", "none": "none"}


class NativeEngine:
    """Reads a Postgres through its replication protocol."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def facts(self) -> Facts:
        """Ask the database who it is."""
        identifier, major, timeline, size = self._server.ask(_FACTS)[0]
        return Facts(identifier, int(major), int(timeline), int(size))

    def read(self, codec: str) -> Reading:
        """Begin to read the whole database as a tar file with its own manifest in it, compressed."""
        return _Basebackup(self._server, codec)

    def unpack(self, stream: IO[bytes], codec: str, into: Path) -> None:
        """Write what was read into an empty data directory, as the account that runs Postgres."""
        unpack(stream, codec, into)


def best_codec(server: Server) -> str:
    """zstd where this build of Postgres has it and the machine can undo it, else gzip."""
    if shutil.which("zstd") is None:
        return "gzip"
    argv = [
        str(server.programs / "pg_basebackup"),
        "--compress=client-zstd:3",
        "-D",
        "-",
        "-Ft",
        "-X",
        "none",
    ]
    # It looks at what it is asked for before it connects, which here leads nowhere.
    done = subprocess.run([*argv, "-h", "/nonexistent"], capture_output=True, check=False, timeout=30,
                          env=without_secrets())  # fmt: skip
    return "gzip" if b"does not support" in done.stderr else "zstd"


def undo(codec: str) -> list[str]:
    """What tells tar how it was compressed."""
    return {"gzip": ["--gzip"], "zstd": ["--zstd"], "none": []}[codec]


def unpack(stream: IO[bytes], codec: str, into: Path) -> None:
    """Extract a tar file into a folder; raises ProgramFailed."""
    account = binaries.runner()
    tar = shutil.which("tar") or "/bin/tar"
    done = subprocess.run(
        [tar, "--extract", *undo(codec), "--file", "-", "--directory", str(into), "--no-same-owner"],
        stdin=stream, capture_output=True, check=False, cwd="/", env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        user=account.user, group=account.group, extra_groups=account.extra_groups,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        raise ProgramFailed(f"tar said: {said}", f"See whether {into} has enough space.")


class _Basebackup:
    """pg_basebackup, its stream on standard output and its progress on standard error."""

    def __init__(self, server: Server, codec: str) -> None:
        self._lines: list[bytes] = []
        self._done = 0.0
        with server.environment() as environment:
            self._process = subprocess.Popen(
                [
                    str(server.programs / "pg_basebackup"), *server.arguments(server.replicator), "-D", "-",
                    "-Ft",
                    # With the log that it needs: so a backup can be restored where the archive is lost.
                    "-X", "fetch", "--checkpoint=fast", "--progress", f"--compress={_LEVELS[codec]}",
                    "--manifest-checksums=SHA256", "--label=metachat",
                ],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                env=environment, bufsize=1024 * 1024, preexec_fn=die_with_parent(signal.SIGKILL),
            )  # fmt: skip
            assert self._process.stdout is not None
            # The password's file must live until it is signed in, which the first bytes prove.
            self._first = self._process.stdout.peek(1) if hasattr(self._process.stdout, "peek") else b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def stream(self) -> IO[bytes]:
        """The tar file."""
        assert self._process.stdout is not None
        return self._process.stdout

    def done(self) -> float:
        """How much was read, from 0 to 1."""
        return self._done

    def finish(self) -> None:
        """Wait for its end; raises ProgramFailed when it did not end well."""
        code = self._process.wait(120)
        self._listener.join(5)
        self.stream.close()
        if code != 0:
            said = b"\n".join(self._lines[-4:]).decode(errors="replace")
            raise ProgramFailed(f"pg_basebackup ended with {code}: {said[-500:]}", "See Postgres's log.")

    def abort(self) -> None:
        """End it at once."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self.stream.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        read: Callable[[int], bytes] = self._process.stderr.read1  # type: ignore[union-attr]
        while said := read(4096):
            for line in re.split(rb"[\r\n]+", said):
                if match := _DONE.search(line):
                    self._done = int(match[1]) / 100
                elif line.strip():
                    self._lines = [*self._lines[-20:], line.strip()]
        self._process.stderr.close()


def give(path: Path) -> None:
    """Give a file or folder to the account that runs Postgres."""
    account = binaries.runner()
    if account.user is not None and account.group is not None:
        os.chown(path, account.user, account.group)
