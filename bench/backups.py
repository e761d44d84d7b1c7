"""Backups against a bare `pg_basebackup` with the same compression."""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.result import Result
from metachat.foundation.settings import Secret
from metachat.operations import age
from metachat.operations.backups import streams
from metachat.operations.backups.database import Server
from metachat.operations.backups.native import NativeEngine
from metachat.operations.backups.targets.directory import DirectoryTarget
from metachat.operations.local.postgres import Cluster

# Vectors compress as badly as real ones do.
_FILL = """
CREATE TABLE vectors AS
  SELECT i, decode(string_agg(md5(random()::text), ''), 'hex') AS embedding
    FROM generate_series(1, {rows}) i, generate_series(1, 48 + i * 0) j GROUP BY i;
INSERT INTO vectors SELECT v.* FROM generate_series(1, 9), vectors v;
CHECKPOINT;
"""
_ROWS = 15_000
_ROUNDS = 2


def run() -> list[Result]:
    """Take the best of a few rounds each."""
    folder = Path(tempfile.mkdtemp(prefix="metachat-bench-"))
    cluster = Cluster(folder / "postgres", settings={"fsync": "off"})
    cluster.ensure()
    cluster.start()
    try:
        server = Server.embedded(cluster)
        server.ask(_FILL.format(rows=_ROWS), timeout=300)
        size = NativeEngine(server).facts().size
        bare = _best(lambda: _bare(server, folder))
        identity = age.new_identity()
        ours = _best(lambda: _ours(server, folder, identity))
        with patch.object(age, "encrypt_stream", _copy):
            plain = _best(lambda: _ours(server, folder, identity))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    return [
        Result("database", size / 2**20, "MiB"),
        Result("bare pg_basebackup, gzip 1", bare, "s"),
        Result("encrypted, cut, hashed, kept and proven", ours, "s", bare * 1.3, "1.3 x bare pg_basebackup"),
        Result("the same without encryption", plain, "s"),
        Result("what encryption adds", (ours / plain - 1) * 100, "%", 30.0),
        Result("peak memory of our process", peak, "MiB", 200.0),
    ]


def _best(work: Callable[[], None]) -> float:
    times: list[float] = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def _bare(server: Server, folder: Path) -> None:
    to = folder / "bare.tar.gz"
    with server.environment() as environment, to.open("wb") as out:
        subprocess.run(
            [str(server.programs / "pg_basebackup"), *server.arguments(), "-D", "-", "-Ft", "-X", "fetch",
             "--checkpoint=fast", "--compress=client-gzip:1", "--manifest-checksums=SHA256"],
            stdout=out, check=True, env=environment, cwd="/",
        )  # fmt: skip
    to.unlink()


def _copy(source: Any, sink: Any, recipients: Iterable[str]) -> None:
    """What encryption does, without it."""
    del recipients
    while content := source.read(64 * 1024):
        sink.write(content)


def _ours(server: Server, folder: Path, identity: Secret) -> None:
    target = DirectoryTarget(folder / "target")
    reading = NativeEngine(server).read("gzip")
    streams.store(reading.stream, target, "backups/database", [age.public(identity)])
    reading.finish()
    shutil.rmtree(folder / "target")
