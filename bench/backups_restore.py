"""A large database from a store on loopback to a served answer, and what would be lost under messages.

METACHAT_BENCH_CHUNKS sets the size: 400,000 chunks are a database of about 5 GB.
"""

import asyncio
import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from tests.backups.weather import BUCKET, KEY, SECRET, store

from bench.result import Result
from bench.retrieval import add_tenant
from metachat.domain import knowledge
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.domain.knowledge.indexing import Workshop, index
from metachat.foundation import clock
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.scope import open_scope
from metachat.foundation.settings import read_secrets
from metachat.operations.backups import answering, archiving
from metachat.operations.backups.database import Server
from metachat.operations.backups.memory import recall
from metachat.operations.local import keys, schema
from metachat.operations.local.postgres import Cluster
from metachat.operations.secrets import identities

CHUNKS = int(os.environ.get("METACHAT_BENCH_CHUNKS", "20000"))
TENANT = "0192aaaa-0000-7000-8000-000000000001"
RETURNS = b"# Returns\n\nCustomers may return a tent within 45 days. Return parcels go to Zagreb.\n"
QUESTION = ("known", "Where do return parcels go?")
RTO_SECONDS, RPO_SECONDS = 300.0, 60.0
RATE, TRAFFIC_SECONDS = 50, 100.0
_BATCH = 20_000

# A fifth of the words are rare. Vectors are random, and compress as badly as real ones do.
_FILL = """
SELECT setseed(0.42);
SET session_replication_role = 'replica';
INSERT INTO chunks (tenant_id, document_id, position, text, language, embedding, lexemes)
SELECT tenant, tenant, i, words, 'en', embedding, to_tsvector('english', words) FROM (
  SELECT i, ('0192aaaa-0000-7000-8000-' || lpad((i % 20)::text, 12, '0'))::uuid AS tenant,
         (SELECT string_agg('word' || floor(random() ^ 3 * 20000 + (i + j) * 0)::int, ' ')
            FROM generate_series(1, 420) j) AS words,
         (SELECT array_agg((random() - 0.5 + (i + j) * 0)::real) FROM generate_series(1, 384) j
         )::vector::halfvec AS embedding
    FROM generate_series({first}, {last}) i) made;
"""
_TENANTS = """
SET session_replication_role = 'replica';
INSERT INTO tenants (tenant_id, slug, name)
  SELECT ('0192aaaa-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid, 'tenant-' || i, 'Tenant'
    FROM generate_series(0, 19) i;
INSERT INTO corpora SELECT tenant_id, 'multilingual-e5-small-q4', 384, '{en}' FROM tenants;
INSERT INTO documents (tenant_id, id, name, media_type, size_bytes, sha256, status)
  SELECT tenant_id, tenant_id, 'synthetic.txt', 'text/plain', 1, 'none', 'ready' FROM tenants;
"""
_MESSAGE = """
INSERT INTO messages (tenant_id, id, conversation_id, channel_id, seq, author, text)
  VALUES ($1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'customer', repeat('x', 200))
"""


@dataclass(frozen=True, slots=True)
class House:
    """An installation of that size, and where its backups lie."""

    folder: Path
    cluster: Cluster
    environment: dict[str, str]
    recovery: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def metachat(self, *argv: str) -> float:
        """Run a command, and tell its seconds."""
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "metachat", *argv], env=self.environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return time.perf_counter() - began


def run() -> list[Result]:
    """Fill, back up, watch the canary under messages, and bring everything back."""
    folder = Path(tempfile.mkdtemp(prefix="metachat-bench-", dir="/var/tmp"))
    try:
        with store(folder / "s3") as port, _house(folder, port) as house:
            size = int(Server.embedded(house.cluster).one("SELECT pg_database_size('metachat')"))
            backup = house.metachat("backup", "now")
            memory = _peak()
            age_at_worst, messages = _canary(house)
            lost, restore, answer, answered = _back(house)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    gigabytes = size / 2**30
    print(f"   {answered}")
    return [
        Result(f"database of {CHUNKS:,} chunks", gigabytes, "GiB"),
        Result("backup into an S3 store on loopback, encrypted", backup, "s"),
        Result("peak memory of the process that makes it", memory, "MiB", 200.0),
        Result(
            f"oldest canary under {messages / TRAFFIC_SECONDS:.0f} messages/s (RPO)",
            age_at_worst,
            "s",
            RPO_SECONDS,
        ),
        Result(
            "messages of before the loss that are missing", lost, "rows", RPO_SECONDS * RATE, "60 s of them"
        ),
        Result("restore from the store: fetch, check, log", restore, "s"),
        Result("start, and the first answer", answer, "s"),
        Result("restore to a served answer (RTO)", restore + answer, "s", RTO_SECONDS),
    ]


@contextlib.contextmanager
def _house(folder: Path, port: int) -> Iterator[House]:
    data = folder / "data"
    data.mkdir(mode=0o700)
    cluster = Cluster(data / "postgres", settings={"shared_buffers": "'512MB'", "max_wal_size": "'4GB'"})
    cluster.ensure()
    cluster.start(settings=archiving.prepare(cluster))
    recovery = folder / "recovery.key"
    reader = identities.make(recovery)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    environment = {
        **kept, "METACHAT_DATA_DIR": str(data), "METACHAT_BACKUP_RECIPIENTS": reader,
        "METACHAT_BACKUP_TARGET": f"s3:{BUCKET}/shop?endpoint=http://127.0.0.1:{port}",
        "METACHAT_BACKUP_ACCESS_KEY": KEY, "METACHAT_BACKUP_SECRET_KEY": SECRET, "METACHAT_DRILL_DAYS": "0",
    }  # fmt: skip
    try:
        keys.ensure(data, cluster)
        asyncio.run(schema.prepare(data, {}))
        _fill(Server.embedded(cluster))
        asyncio.run(_know(data))
        yield House(folder, cluster, environment, recovery)
    finally:
        cluster.destroy()


def _fill(server: Server) -> None:
    server.ask("ALTER SYSTEM SET archive_command = 'true'; SELECT pg_reload_conf()")
    server.ask(_TENANTS, keys.DATABASE)
    for first in range(1, CHUNKS + 1, _BATCH):
        last = min(CHUNKS, first + _BATCH - 1)
        server.ask(_FILL.format(first=first, last=last), keys.DATABASE, timeout=3600)
    server.ask("VACUUM ANALYZE", keys.DATABASE, timeout=3600)
    server.ask("ALTER SYSTEM RESET archive_command; SELECT pg_reload_conf()")


async def _know(data: Path) -> None:
    """Let the product read a document that says something, among all that says nothing."""
    worker = await Database.open(read_secrets(data)["worker_database_url"])
    blobs, embedder = DiskBlobs(data / "blobs"), BundledEmbedder()
    tenant = await add_tenant(worker, "known")
    async with open_scope(worker, tenant, actor="bench") as scope:
        document = await knowledge.upload(scope, blobs, "returns.md", _once(RETURNS))
    await index(Workshop(worker, blobs, embedder, asyncio.Semaphore(1)), tenant, document.id)
    embedder.close()
    await worker.close()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _peak() -> float:
    """Of the largest process that we waited for."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _canary(house: House) -> tuple[float, int]:
    """Write messages and watch how old the newest canary in the store gets; tells the oldest age."""
    child = subprocess.Popen([sys.executable, "-m", "metachat.cli.child", "archive"], env=house.environment,
                             stdout=subprocess.DEVNULL)  # fmt: skip
    state, ages = house.data / "backups", list[float]()
    try:
        while (first := recall(state).canary_at) is None:
            time.sleep(0.2)
        ended = threading.Event()
        writer = threading.Thread(target=lambda: asyncio.run(_write(house, ended)))
        writer.start()
        deadline = time.monotonic() + TRAFFIC_SECONDS
        while time.monotonic() < deadline:
            at = recall(state).canary_at or first
            ages.append((clock.now() - at).total_seconds())
            time.sleep(0.5)
        ended.set()
        writer.join()
    finally:
        child.kill()
        child.wait()
    return max(ages), int(Server.embedded(house.cluster).one("SELECT count(*) FROM messages", keys.DATABASE))


async def _write(house: House, ended: threading.Event) -> None:
    db = await asyncpg.connect(house.cluster.superuser_dsn(keys.DATABASE))
    await db.execute("SET session_replication_role = 'replica'")
    began, written = time.monotonic(), 0
    while not ended.is_set():
        await db.execute(_MESSAGE, TENANT)
        written += 1
        await asyncio.sleep(max(0.0, began + written / RATE - time.monotonic()))
    await db.close()


def _back(house: House) -> tuple[int, float, float, str]:
    """Lose the database, restore it, and ask the application; tells what was lost and the seconds."""
    count = "SELECT count(*) FROM messages"
    before = int(Server.embedded(house.cluster).one(count, keys.DATABASE))
    house.cluster.stop()
    into = house.folder / "back"
    restore = house.metachat("restore", "--to", str(into), "--identity", str(house.recovery))
    began = time.perf_counter()
    back = Cluster(into / "postgres")
    try:
        back.start()
        server = Server.embedded(back)
        after = int(server.one(count, keys.DATABASE))
        back.stop()
        answered = answering.answer(into, QUESTION, house.environment)
        return before - after, restore, time.perf_counter() - began, answered
    finally:
        back.destroy()
