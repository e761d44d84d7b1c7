"""Providers' webhooks, stored durably before the 200, beside what pgbench commits of the same rows."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import asyncpg
from typing_extensions import override

from bench import processor
from bench.chat_site import environment, listen
from bench.result import Result
from metachat.domain.channels.whatsapp import Credentials, connect
from metachat.domain.channels.whatsapp.signature import sign
from metachat.foundation import migrations
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope
from metachat.operations.local import binaries
from metachat.operations.local.postgres import Cluster

CONNECTIONS = 64
APIS = 2  # as many as `metachat up` starts on this machine
LONE, BATCHES, IN_BATCH = 20_000, 600, 100
BYTES = 2_048
SENDERS = 1_000
ROUNDS = 2
PGBENCH_SECONDS = 5
_SECRET = "the app secret of the bench"
_ROLES = ("metachat_owner", "metachat_app", "metachat_worker")

# The same two rows with the same bytes on the wire, in one statement: the fastest way to commit them.
# (pgbench takes every colon for a variable, within texts as well: \x3a.)
ROWS = """\\set n random(1, 9000000000000000)
\\set sender random(1, 1000)
WITH stored AS (
  INSERT INTO inbox (channel_kind, channel_id, tenant_id, dedupe_key, kind, lane, payload, correlation_id)
  VALUES ('whatsapp', '{channel}', '{tenant}',
    E'whatsapp\\x3a{channel}\\x3am\\x3awamid.' || :n::text, 'message',
    E'inbox\\x3a{channel}\\x3a38591' || :sender::text, convert_to(:body::text, 'UTF8'),
    '0123456789abcdef0123456789abcdef')
  ON CONFLICT (dedupe_key) DO NOTHING RETURNING lane, tenant_id, correlation_id
) INSERT INTO jobs (lane, kind, tenant_id, correlation_id)
SELECT lane, 'inbox', tenant_id, correlation_id FROM stored
"""


@dataclass
class Site:
    """Api processes on a durable Postgres."""

    owner: str
    channel: str
    tenant: str
    port: int
    folder: Path
    postgres: int
    apis: list[int]


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a load went: posts a second, the 99th percentile in milliseconds, processor microseconds a post."""

    rate: float
    p99: float
    apis: float
    postgres: float
    client: float


async def run() -> list[Result]:
    """Measure both in turn, so that what else the machine does meets both."""
    limits: list[float] = []
    lone: list[Loaded] = []
    async with served() as site:
        await load(site, 2_000, 1)  # warm
        for _ in range(ROUNDS):
            await emptied(site)
            limits.append(pgbench(site))
            await emptied(site)
            lone.append(await load(site, LONE, 1))
            await stored(site, LONE)
        await emptied(site)
        batched = await load(site, BATCHES, IN_BATCH)
        await stored(site, BATCHES * IN_BATCH)
    limit = statistics.mean(limits)
    rate = statistics.mean(each.rate for each in lone)
    return [
        Result("pgbench, the same rows, 64 clients", limit, "rows/s"),
        Result("webhooks of 2 KB, 64 connections, durable before the 200", rate, "posts/s", limit * 0.8,
               "80 % of pgbench", "higher"),
        Result("the same, p99", max(each.p99 for each in lone), "ms", 50),
        *(
            Result(f"processor time a post: {part}", min(getattr(each, name) for each in lone), "us")
            for name, part in (("apis", "api processes"), ("postgres", "Postgres"), ("client", "this client"))
        ),
        Result("webhooks of 100 updates", batched.rate * IN_BATCH, "updates/s", 15_000, "limit", "higher"),
        Result("the same, p99", batched.p99, "ms"),
        Result("processor time an update: api processes", batched.apis / IN_BATCH, "us"),
        Result("processor time an update: Postgres", batched.postgres / IN_BATCH, "us"),
    ]  # fmt: skip


def pgbench(site: Site) -> float:
    """What Postgres's own load generator commits."""
    script = site.folder / "rows.sql"
    script.write_text(ROWS.format(channel=site.channel, tenant=site.tenant).replace("\n  ", " "))
    program = binaries.programs(binaries.runner()) / "pgbench"
    address = re.sub(r"://([^:@]+):[^@]*@", r"://\1@", site.owner)
    password = re.search(r"://[^:@]+:([^@]*)@", site.owner)
    ran = subprocess.run(
        [str(program), "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "1", "-T", str(PGBENCH_SECONDS),
         "-D", f"body={body(0, 1).decode()}", "-f", str(script), address],
        env={**os.environ, "PGPASSWORD": password.group(1) if password else ""},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", ran.stdout)
    assert found, ran.stdout + ran.stderr
    return float(found.group(1))


async def load(site: Site, posts: int, updates: int) -> Loaded:
    """Deliver from a process of its own."""
    before = processor.seconds(site.apis), processor.seconds([site.postgres])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.ingest", str(site.port), site.channel, str(posts), str(updates),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(child.communicate(), 240)
    told = json.loads(out)
    assert told["refused"] == 0, told
    after = processor.seconds(site.apis), processor.seconds([site.postgres])
    apis, postgres = ((end - begin) / posts * 1e6 for begin, end in zip(before, after, strict=True))
    return Loaded(told["rate"], told["p99"], apis, postgres, told["processor"])


async def emptied(site: Site) -> None:
    """Begin with empty tables."""
    connection = await asyncpg.connect(site.owner)
    await connection.execute("TRUNCATE inbox, jobs")
    await connection.close()


async def stored(site: Site, count: int) -> None:
    """Make sure that all of it is there."""
    connection = await asyncpg.connect(site.owner)
    found = await connection.fetchval("SELECT count(*) FROM inbox")
    assert found == count, f"{found} of {count}"
    await connection.close()


def body(number: int, updates: int) -> bytes:
    """A webhook: one update in exactly 2 KB, or a batch of them."""
    run = secrets.token_hex(6)
    senders = [f"38591{(number * updates + n) % SENDERS:07d}" for n in range(updates)]
    messages = [
        {"from": sender, "id": f"wamid.{run}{number}x{n}", "timestamp": "1764000000", "type": "text",
         "text": {"body": "Where is my parcel? I have been waiting for it since Monday morning."}}
        for n, sender in enumerate(senders)
    ]  # fmt: skip
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "38515550000", "phone_number_id": "106540352242922"},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": sender} for sender in senders],
        "messages": messages,
    }
    entry = {"id": "102290129340398", "changes": [{"field": "messages", "value": value}]}
    document = {"object": "whatsapp_business_account", "entry": [entry]}
    if updates == 1:
        short = BYTES - len(json.dumps(document))
        messages[0]["text"] = {"body": secrets.token_urlsafe(BYTES)[: short - 20] + " parcel?"}
    return json.dumps(document).encode()


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[Site]:
    """A durable Postgres, a tenant with a WhatsApp channel, and its api processes."""
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder, _cluster(Path(folder)) as cluster:
        passwords = {role: secrets.token_urlsafe(24) for role in _ROLES}
        superuser = cluster.dsn("postgres", "postgres", cluster.superuser_password)
        await migrations.prepare(superuser, "metachat", passwords)
        owner, app, worker = (cluster.dsn(role, "metachat", passwords[role]) for role in _ROLES)
        await migrations.migrate(owner)
        settings, listening = environment(Path(folder), app, worker), listen()
        tenant, channel = await furnish(app, Keyring.of(settings["METACHAT_ENCRYPTION_KEY"]))
        fd = listening.fileno()
        command = [sys.executable, "-m", "metachat", "api", "--fd", str(fd)]
        processes = [subprocess.Popen(command, env=settings, pass_fds=(fd,)) for _ in range(APIS)]
        try:
            assert cluster.process is not None
            yield Site(
                owner, channel, tenant, int(listening.getsockname()[1]), Path(folder),
                cluster.process.pid, [process.pid for process in processes],
            )  # fmt: skip
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=20)
            listening.close()


@contextlib.contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder / "pg", settings={"max_connections": "120"})
    cluster.ensure()
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.destroy()


async def furnish(app: str, key: Keyring) -> tuple[str, str]:
    """Make the tenant and its channel."""
    database = await Database.open(app, size=1)
    tenant = TenantId(uuid7())
    async with open_scope(database, tenant, actor="cli") as scope:
        await scope.db.execute(
            "INSERT INTO tenants (tenant_id, slug, name) VALUES (:t, 'bench', 'Bench')", t=tenant
        )
        channel = await connect(scope, key, "Bench", Credentials(app_secret=_SECRET))
    await database.close()
    return str(tenant), str(channel.id)


class Sender(asyncio.Protocol):
    """One connection that always has one request on its way."""

    def __init__(self, requests: Iterator[bytes], times: list[float], statuses: list[bytes]) -> None:
        self._requests, self._times, self._statuses = requests, times, statuses
        self._began = 0.0
        self._received = b""
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._next()

    @override
    def data_received(self, data: bytes) -> None:
        """Take the answer, and send the next request."""
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"content-length: (\d+)", head)
        if length is None or len(rest) < int(length.group(1)):
            return
        self._received = b""
        self._times.append(time.perf_counter() - self._began)
        self._statuses.append(head[9:12])
        self._next()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.finished.done():
            self.finished.set_result(None)

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
        else:
            self._began = time.perf_counter()
            self._transport.write(request)


async def deliver(port: int, channel: str, posts: int, updates: int) -> dict[str, float]:
    """Send prepared requests as fast as they are answered."""
    prepared = [_request(channel, body(number, updates)) for number in range(posts)]
    await reachable(port)
    times: list[float] = []
    statuses: list[bytes] = []
    requests = iter(prepared)
    loop = asyncio.get_running_loop()
    began, processor_began = time.perf_counter(), time.process_time()
    senders = [
        (await loop.create_connection(lambda: Sender(requests, times, statuses), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(sender.finished for sender in senders))
    spent = time.perf_counter() - began
    used = (time.process_time() - processor_began) / posts * 1e6
    times.sort()
    refused = sum(status != b"200" for status in statuses) + posts - len(statuses)
    p99 = times[len(times) * 99 // 100] * 1000
    return {"rate": posts / spent, "p99": p99, "refused": refused, "processor": used}


def _request(channel: str, content: bytes) -> bytes:
    head = (
        f"POST /hooks/whatsapp/{channel} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"x-hub-signature-256: {sign(_SECRET, content)}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def reachable(port: int) -> None:
    """Wait until the api process answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            if await reader.read(12):
                writer.close()
                return
        except OSError:
            await asyncio.sleep(0.05)
    raise RuntimeError("no api process answers")


if __name__ == "__main__":
    import uvloop

    port, channel, posts, updates = sys.argv[1:]
    print(json.dumps(uvloop.run(deliver(int(port), channel, int(posts), int(updates)))))
