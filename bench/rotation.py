"""The encryption key replaced under 100,000 sealed rows while customers write, killed in the middle."""

import asyncio
import hashlib
import hmac
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from bench.environment import running_platform
from bench.result import Result
from metachat.foundation.keyring import Keyring
from metachat.foundation.sealed_columns import ANSWERS
from metachat.foundation.sealing import seal
from metachat.foundation.settings import read_secrets

ROWS = 100_000
NAME = "encryption_key"

_THREADS = 4
_PAUSE = 0.02
_AT_ONCE = 2_000
_PATIENCE = 600
_APP_SECRET = "the-app-secret-of-this-channel"
_ADD = """
INSERT INTO idempotency_keys (tenant_id, key, request_hash, status, body_sealed)
SELECT $1, key, 'hash', 201, sealed FROM unnest($2::text[], $3::bytea[]) AS made(key, sealed)
"""
_MOVED = "SELECT id, rows_done FROM key_records WHERE name = 'encryption_key' AND state = 'current'"


@dataclass
class Traffic:
    """What customers and staff do: each request seals or opens something; whatever fails is counted."""

    address: str
    token: str
    tenant: str = "acme"
    done: int = 0
    failed: list[str] = field(default_factory=list[str])
    slowest: float = 0.0
    channel: str = ""

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """One request, on a connection of its own."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        signed = {"Content-Type": "application/json", "Connection": "close"}
        if path.startswith("/api"):
            signed |= {"Authorization": f"Bearer {self.token}", "X-Metachat-Tenant": self.tenant}
        try:
            connection.request(method, path, content, signed | headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def opens(self) -> None:
        """Make the tenant and its WhatsApp channel."""
        tenant = {"slug": self.tenant, "name": "Acme"}
        assert self.call("POST", "/api/v1/operator/tenants", tenant)[0] == 201
        ids = {"phone_number_id": "123456789012", "business_account_id": "210987654321"}
        secrets = {**ids, "app_secret": _APP_SECRET, "access_token": "the-first-access-token"}
        channel = {"kind": "whatsapp", "name": "Phone", "whatsapp": secrets}
        status, body = self.call("POST", "/api/v1/channels", channel)
        assert status == 201, body
        self.channel = f"/api/v1/channels/{json.loads(body)['channel']['id']}"

    @contextmanager
    def flowing(self) -> Iterator[None]:
        """Let traffic flow for as long as this lasts."""
        stopped = threading.Event()
        threads = [threading.Thread(target=self._flow, args=(stopped,)) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stopped.set()
            for thread in threads:
                thread.join()

    def _flow(self, stopped: threading.Event) -> None:
        kinds = itertools.cycle([self._writes, self._is_read, self._answers_twice, self._delivers])
        while not stopped.wait(_PAUSE):
            kind, began = next(kinds), time.perf_counter()
            try:
                told = kind(self.channel)
            except (OSError, http.client.HTTPException, ValueError) as error:
                told = f"{kind.__name__}: {type(error).__name__} {error}"
            self.done += 1
            self.slowest = max(self.slowest, time.perf_counter() - began)
            if told:
                self.failed.append(told)

    def _writes(self, channel: str) -> str:
        change = {"whatsapp": {"access_token": f"token-{uuid4().hex}"}}
        return _unless(200, "a token is changed", self.call("PATCH", channel, change))

    def _is_read(self, channel: str) -> str:
        status, body = self.call("GET", channel)
        opened = status == 200 and json.loads(body)["whatsapp"]["access_token"]["fingerprint"]
        return "" if opened else f"a token is read: {status} {body[:200]!r}"

    def _answers_twice(self, channel: str) -> str:
        key = {"Idempotency-Key": uuid4().hex}
        first, again = (self.call("POST", f"{channel}/pause", **key) for _ in range(2))
        return _unless(200, "a request is repeated", again) if first == again else f"{first} and {again}"

    def _delivers(self, channel: str) -> str:
        body = json.dumps({"object": "whatsapp_business_account", "entry": [], "n": uuid4().hex}).encode()
        signature = "sha256=" + hmac.new(_APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        path = f"/hooks/whatsapp/{channel.rpartition('/')[2]}"
        return _unless(200, "a webhook", self.call("POST", path, body, **{"X-Hub-Signature-256": signature}))


@dataclass(frozen=True)
class Rows:
    """The sealed rows of a tenant, as the owner of the database sees them."""

    data: Path

    def fill(self, slug: str, count: int) -> None:
        """Add so many rows that are sealed under the key in use."""
        asyncio.run(self._fill(slug, count))

    def moved(self) -> tuple[str, int]:
        """Which key is in use, and how many rows were moved to it."""
        return asyncio.run(self.in_use())

    async def connect(self) -> asyncpg.Connection:
        """Connect as the owner."""
        return await asyncpg.connect(read_secrets(self.data)["owner_database_url"])

    async def enter(self, connection: asyncpg.Connection, slug: str) -> UUID:
        """Enter a tenant for the rest of a transaction."""
        await connection.execute("SELECT set_config('metachat.credential', $1, true)", slug)
        tenant = await connection.fetchval("SELECT tenant_id FROM tenants WHERE slug = $1", slug)
        assert tenant is not None
        await connection.execute("SELECT set_config('metachat.tenant', $1, true)", str(tenant))
        return tenant

    async def in_use(self) -> tuple[str, int]:
        """The same, beside other things."""
        connection = await self.connect()
        try:
            row = await connection.fetchrow(_MOVED)
            assert row is not None
            return row["id"], row["rows_done"]
        finally:
            await connection.close()

    async def _fill(self, slug: str, count: int) -> None:
        ring = Keyring.of(read_secrets(self.data)[NAME])
        connection = await self.connect()
        try:
            async with connection.transaction():
                tenant = await self.enter(connection, slug)
                for first in range(0, count, _AT_ONCE):
                    keys = [f"row-{n:06}" for n in range(first, min(first + _AT_ONCE, count))]
                    sealed = [seal(ring, b"shown once", ANSWERS.place(tenant, key)) for key in keys]
                    await connection.execute(_ADD, tenant, keys, sealed)
        finally:
            await connection.close()


def rotation(data: Path, *options: str) -> subprocess.Popen[bytes]:
    """Begin `metachat secrets rotate encryption_key` as a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("METACHAT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "metachat", "secrets", "rotate", NAME, *options],
        env={**clean, "METACHAT_DATA_DIR": str(data)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process: subprocess.Popen[bytes]) -> str:
    """Wait for a rotation's end; tells what it said."""
    said = process.communicate(timeout=_PATIENCE)[0].decode()
    assert process.returncode == 0, said
    return said


def run() -> list[Result]:
    """Rotate twice under traffic: killed in the middle and resumed, then undisturbed, for the rate."""
    with running_platform("--no-demo") as site:
        traffic = Traffic(site.address, read_secrets(site.data)["cli_token"])
        traffic.opens()
        rows = Rows(site.data)
        rows.fill(traffic.tenant, ROWS)
        with traffic.flowing():
            killed_at = _kill_in_the_middle(site.data, rows)
            began = time.perf_counter()
            finished(rotation(site.data, "--resume"))
            resumed = time.perf_counter() - began
            began = time.perf_counter()
            rate = _rate(rotation(site.data), rows)
            whole = time.perf_counter() - began
        broken = _doctor(site.data)
    for told in traffic.failed:
        print(told, file=sys.stderr)
    return [
        Result("rows moved when the first rotation was killed", killed_at, "rows"),
        Result("from its resumption to the old key's retirement", resumed, "s"),
        Result("a whole rotation, undisturbed, with three rounds of processes", whole, "s"),
        Result("rows sealed anew beside the traffic", rate, "rows/s"),
        Result("requests meanwhile", traffic.done, "requests"),
        Result("requests that failed", len(traffic.failed), "requests", 0),
        Result("the slowest request", traffic.slowest * 1000, "ms"),
        Result("findings of the doctor about keys", broken, "findings", 0),
    ]


def _kill_in_the_middle(data: Path, rows: Rows) -> int:
    first = rotation(data)
    while rows.moved()[1] < ROWS // 3:
        assert first.poll() is None, first.communicate()[0].decode()
    first.send_signal(signal.SIGKILL)
    first.wait()
    return rows.moved()[1]


def _rate(process: subprocess.Popen[bytes], rows: Rows) -> float:
    """Rows a second between the first and the last that were seen to be moved."""
    seen: list[tuple[float, int]] = []
    before = rows.moved()[0]
    while process.poll() is None:
        key, moved = rows.moved()
        if key != before and moved > (seen[-1][1] if seen else 0):
            seen.append((time.perf_counter(), moved))
        time.sleep(0.02)
    finished(process)
    return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def _doctor(data: Path) -> int:
    """What the doctor finds, but for the escrow bundle, which nobody has made here."""
    done = subprocess.run(
        [sys.executable, "-m", "metachat", "secrets", "doctor", "--json"],
        env={**os.environ, "METACHAT_DATA_DIR": str(data)}, capture_output=True, check=False,
    )  # fmt: skip
    findings = json.loads(done.stdout)["findings"]
    return sum(not one["passed"] and one["name"] != "recovery possible" for one in findings)


def _unless(wanted: int, what: str, answer: tuple[int, bytes]) -> str:
    return "" if answer[0] == wanted else f"{what}: {answer[0]} {answer[1][:200]!r}"
