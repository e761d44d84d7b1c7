"""What the processes show of themselves, and to whom."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from metachat.foundation.measures import OwnProcess
from metachat.operations.backups import memory
from metachat.operations.monitoring import statuses
from metachat.operations.monitoring.statuses import Status
from tests.conftest import Databases
from tests.monitoring.tls import certificate, serving_tls


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Worker:
    """A real worker with its door for scrapes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = int(environment["METACHAT_METRICS_PORT"])
        self.child = subprocess.Popen([sys.executable, "-m", "metachat", "worker"], env=environment)

    def scrape(self) -> dict[str, float]:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5)
        assert answer.status_code == 200
        lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    def await_door(self) -> dict[str, float]:
        deadline = time.monotonic() + 60
        while True:
            assert self.child.poll() is None, "the worker has ended"
            try:
                return self.scrape()
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)


@pytest.fixture
def worker(as_environment: dict[str, str]) -> Iterator[Worker]:
    pem = certificate(days=5)
    with serving_tls(lambda: pem) as port:
        told = {"METACHAT_METRICS_PORT": str(free_port()), "METACHAT_PUBLIC_URL": f"https://127.0.0.1:{port}"}
        running = Worker({**as_environment, **told})
        yield running
        running.child.terminate()
        assert running.child.wait(timeout=60) == 0


def test_a_worker_shows_what_it_does_and_how_operations_went(worker: Worker, tmp_path: Path) -> None:
    shown = worker.await_door()
    assert shown["process_resident_memory_bytes"] > 10_000_000
    assert shown["process_cpu_seconds_total"] > 0
    assert shown['metachat_database_pool{state="most"}'] == 4
    assert shown['metachat_deliveries_total{outcome="failed"}'] == 0
    assert shown['metachat_job_runs_total{outcome="done"}'] >= 0
    days = (shown["metachat_certificate_expiry_timestamp_seconds"] - time.time()) / 86400
    assert 4.9 < days < 5.1
    # Nobody has made a backup: nothing is claimed of one.
    assert not [name for name in shown if name.startswith("metachat_operation_")]
    told = {"at": "2026-11-01T00:00:00+00:00", "ok": False, "ok_at": 1_790_000_000, "count": 3}
    statuses.file(tmp_path, "backup").write_text(json.dumps(told))
    statuses.file(tmp_path, "drill").write_text("{torn")
    shown = worker.scrape()
    assert shown['metachat_operation_ok{operation="backup"}'] == 0
    assert shown['metachat_operation_ok_timestamp_seconds{operation="backup"}'] == 1_790_000_000
    assert shown['metachat_operation_count{operation="backup"}'] == 3
    assert 'metachat_operation_ok{operation="drill"}' not in shown


def test_the_workers_door_has_nothing_else_and_waits_for_nobody(worker: Worker) -> None:
    worker.await_door()
    assert httpx.get(f"http://127.0.0.1:{worker.port}/").status_code == 404
    assert httpx.post(f"http://127.0.0.1:{worker.port}/metrics").status_code == 404
    listening = subprocess.run(["/usr/bin/env", "cat", "/proc/net/tcp"], capture_output=True, text=True)
    assert f"0100007F:{worker.port:04X}" in listening.stdout, "on loopback only"
    with socket.create_connection(("127.0.0.1", worker.port), 10) as slow:
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        began = time.monotonic()
        assert slow.recv(100) == b""
        assert time.monotonic() - began < 8


def test_a_port_that_is_taken_costs_the_metrics_and_not_the_work(as_environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [sys.executable, "-m", "metachat", "worker"]
        environment = {**as_environment, "METACHAT_METRICS_PORT": port, "METACHAT_LOG_FORMAT": "json"}
        pipe = subprocess.PIPE
        child = subprocess.Popen(argv, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        assert child.stdout is not None
        said = []
        for line in child.stdout:
            said.append(line)
            if "metrics cannot be shown" in line:
                break
        assert child.poll() is None
        child.terminate()
        assert child.wait(timeout=60) == 0, said


async def test_the_api_tells_how_the_database_is(
    api: httpx.AsyncClient, databases: Databases, cluster_connection: asyncpg.Connection
) -> None:
    shown = (await api.get("/metrics")).text
    assert "metachat_database_up 1.0" in shown
    assert "metachat_database_connections_most 120.0" in shown
    assert "metachat_inbox_lag_seconds 0.0" in shown
    assert "metachat_outbox_lag_seconds 0.0" in shown
    assert 'metachat_database_pool{state="idle"}' in shown
    await cluster_connection.execute(f'ALTER DATABASE "{databases.name}" WITH CONNECTION LIMIT 0')
    await cluster_connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", databases.name
    )
    deadline = time.monotonic() + 30
    while "metachat_database_up 0.0" not in (shown := (await api.get("/metrics")).text):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert "metachat_queue_jobs" not in shown, "what is not known is not told"
    await cluster_connection.execute(f'ALTER DATABASE "{databases.name}" WITH CONNECTION LIMIT -1')


def test_what_backups_remember_of_themselves_is_shown(tmp_path: Path) -> None:
    assert statuses.read(tmp_path, "backup") is None
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    memory.remember(tmp_path / "backups", backup_at=moment, backup_failure="target_away", canary_at=moment)
    memory.remember(tmp_path / "backups", drill_at=moment, drill_verdict="failed", failure="target_away")
    memory.remember(tmp_path / "backups", waiting=12)
    assert statuses.read(tmp_path, "backup") == Status(ok=False, ok_at=moment.timestamp(), count=None)
    assert statuses.read(tmp_path, "drill") == Status(ok=False, ok_at=None, count=None)
    assert statuses.read(tmp_path, "canary") == Status(ok=True, ok_at=moment.timestamp(), count=None)
    assert statuses.read(tmp_path, "archive") == Status(ok=False, ok_at=None, count=12)
    memory.remember(tmp_path / "backups", drill_verdict="passed")
    assert statuses.read(tmp_path, "drill") == Status(ok=True, ok_at=moment.timestamp(), count=None)
    assert statuses.read(tmp_path, "drift") is None


def test_a_confined_process_tells_what_it_uses(tmp_path: Path) -> None:
    # And nothing else, as with ProcSubset=pid.
    (tmp_path / "self").symlink_to("/proc/self")
    registry = CollectorRegistry()
    ProcessCollector(proc=str(tmp_path), registry=registry)
    assert registry.get_sample_value("process_resident_memory_bytes") is None, "the library does it now"
    ours = CollectorRegistry()
    OwnProcess(proc=str(tmp_path), registry=ours)
    assert (ours.get_sample_value("process_resident_memory_bytes") or 0) > 10_000_000
    begun = ours.get_sample_value("process_start_time_seconds") or 0
    assert abs(begun - psutil.Process().create_time()) < 2
