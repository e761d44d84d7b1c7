"""Most rules in earnest: the fault is made, the message is received with its page, and so is the end.

Real Prometheus, Alertmanager and node exporter of Debian, a real api process, worker and Postgres; Slack,
PagerDuty, a mail server, a webhook and the dead-man's switch are far ends on loopback. Measured is every two
seconds here, and rules wait a third of their time; limits that cannot be reached cheaply are lowered, see
`limits` of the house. The recurring operations have their stories in `test_faults_of_operations`.
"""

import asyncio
import contextlib
import multiprocessing
import os
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from metachat.operations.monitoring.rules import Limits
from tests.conftest import ROLES
from tests.monitoring.house import House
from tests.monitoring.tls import certificate

pytestmark = [pytest.mark.alerts, pytest.mark.timeout(300)]

MIB = 1024 * 1024
# For what is taken of the machine itself, limits are set beside what is free just then: others use it too.
MOST_TAKEN = 3 * 1024**3


async def test_a_dead_worker(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    await suffers("ServiceDown", lambda: house.site.kill("worker"), lambda: house.site.run("worker"))


@asynccontextmanager
async def meanwhile(story: Callable[[], None]) -> AsyncIterator[asyncio.Task[None]]:
    """A story that takes long, beside the others."""
    task = asyncio.create_task(asyncio.to_thread(story))
    yield task
    with contextlib.suppress(AssertionError):
        await task


@pytest.fixture(scope="module")
async def expiring(house: House) -> AsyncIterator[asyncio.Task[None]]:
    """A certificate that runs out: it is looked at once a minute only."""

    def serve(days: float) -> None:
        house.pem[0] = certificate(days)

    told = ("CertificateExpiring", lambda: serve(3), lambda: serve(90), 90)
    async with meanwhile(lambda: house.site.suffers(*told)) as task:
        yield task


@pytest.fixture(scope="module")
async def refused(house: House) -> AsyncIterator[asyncio.Task[None]]:
    """A real archive whose target takes nothing: it knows the key no more, later it is ill for minutes.

    The canary becomes too old by waiting, as on a real site: its limit is not lowered.
    """
    site, weather = house.site, house.weather

    def story() -> None:
        site.run("archive")
        site.await_(lambda: house.canary_age() < 60, 60)
        # The next segment is due within half a minute, and is refused.
        site.suffers("ArchiveBehind", lambda: weather.brings("revoked"), weather.clears, 90)
        weather.brings("503")
        site.await_(lambda: house.canary_age() > Limits().canary_age - 1, 180)
        assert house.memory.failure == "backup_target_away"
        # An archive that failed for long tries again once a minute.
        site.suffers("CanaryOld", lambda: None, weather.clears, 120)

    async with meanwhile(story) as task:
        yield task


@pytest.mark.usefixtures("expiring", "refused")
async def test_errors(house: House, suffers: Callable[..., Awaitable[None]], visitors: None) -> None:
    gone, back = "ALTER TABLE channels RENAME TO gone", "ALTER TABLE gone RENAME TO channels"
    await suffers("HttpErrors", house.does(gone), house.does(back))


async def test_slow_answers(house: House, suffers: Callable[..., Awaitable[None]], visitors: None) -> None:
    over = threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(house.superuser)
        while not over.is_set():
            async with connection.transaction():
                await connection.execute("LOCK TABLE channels IN ACCESS EXCLUSIVE MODE")
                await asyncio.sleep(1.5)
            await asyncio.sleep(0.2)
        await connection.close()

    holding = threading.Thread(target=lambda: asyncio.run(hold()))
    await suffers("SlowAnswers", holding.start, over.set)
    holding.join(10)


async def test_work_that_nobody_does(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    lane = "INSERT INTO lanes VALUES ('stuck', 'elsewhere:1:x', now() + interval '1h')"
    job = "INSERT INTO jobs (lane, kind, payload, run_at) VALUES ('stuck', 'tidy-inbox', '{}', now())"
    done = "DELETE FROM jobs WHERE lane = 'stuck'"
    end = house.does(done, "DELETE FROM lanes WHERE lane = 'stuck'")
    await suffers("QueueOld", house.does(lane, job), end)


async def test_guessed_passwords(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    def guess() -> None:
        for number in range(9):
            told = {"email": "ana@example.com", "password": f"guess number {number}"}
            answer = httpx.post(f"{house.site.address}/api/v1/session", json=told, timeout=20)
            assert answer.status_code in (401, 429), answer.text

    await suffers("SignInAttack", guess, lambda: None)


async def test_messages_that_a_provider_refuses(
    house: House, suffers: Callable[..., Awaitable[None]]
) -> None:
    def refuse() -> None:
        with contextlib.suppress(ConnectionError):  # the simulator has hung up, since nobody called for long
            house.meta.state()
        house.meta.fails("error", code=131000)
        for number in range(6):
            house.meta.says(f"38591000000{number}", "What does delivery cost?")

    await suffers("DeliveriesFailing", refuse, house.meta.recovers)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no right to mount a small file system to fill")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_full_disk(house: House, suffers: Callable[..., Awaitable[None]], disk: Path) -> None:
    full = disk / "full"
    await suffers("DiskFilling", lambda: full.write_bytes(bytes(62 * MIB)), full.unlink)


async def test_a_disk_that_fills_slowly(
    house: House, suffers: Callable[..., Awaitable[None]], disk: Path
) -> None:
    over = threading.Event()

    def fill() -> None:
        with (disk / "grows").open("wb", buffering=0) as file:
            file.write(bytes(40 * MIB))
            for _ in range(60):  # a quarter of it stays free: its end is foretold
                file.write(bytes(MIB // 8))
                if over.wait(0.5):
                    return

    filling = threading.Thread(target=fill)
    house.site.adjust(trend=6)
    try:
        await suffers("DiskFilling", filling.start, over.set)
        assert shutil.disk_usage(disk).free > 0.15 * 64 * MIB
    finally:
        over.set()
        filling.join(10)
        house.site.adjust(trend=Limits().trend)


def hold_memory(size: int) -> None:
    held = bytearray(b"x") * size
    time.sleep(120)
    del held


# The share of each processor that is taken. Who measures and tells must get on with the rest.
BUSY = 0.75


def compute(seconds: float) -> None:
    with contextlib.suppress(OSError):  # before whatever others do, where that is allowed
        os.setsid()
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        Path("/proc/self/autogroup").write_text("-20")
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        while time.monotonic() < begun + BUSY * 0.1:
            pass
        time.sleep((1 - BUSY) * 0.1)


async def test_memory_that_is_taken(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    memory = psutil.virtual_memory()
    size = min(MOST_TAKEN, memory.available // 3)
    taker = multiprocessing.get_context("spawn").Process(target=hold_memory, args=(size,), daemon=True)
    house.site.adjust(memory=(memory.available - size / 2) / memory.total)
    try:
        await suffers("MemoryLow", taker.start, taker.kill)
    finally:
        house.site.adjust(memory=Limits().memory)


async def test_busy_processors(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    others = await asyncio.to_thread(calm_moment, 90)
    made = multiprocessing.get_context("spawn").Process
    count = len(os.sched_getaffinity(0))
    busy = [made(target=compute, args=(90,), daemon=True) for _ in range(count)]
    house.site.adjust(cpu=(others + BUSY) / 2)
    try:
        await asyncio.to_thread(quiet_rule, house, "CpuBusy", 40)
        await suffers(
            "CpuBusy", lambda: [one.start() for one in busy], lambda: [one.kill() for one in busy], 90
        )
    finally:
        house.site.adjust(cpu=Limits().cpu)


def quiet_rule(house: House, rule: str, within: float) -> None:
    """Wait until a rule is silent; skips where others on this machine keep it from that."""
    try:
        house.site.await_(lambda: not house.site.is_firing(rule), within)
    except AssertionError:
        pytest.skip(f"others on this machine bring {rule} about by themselves: it would not be our fault")


def calm_moment(within: float) -> float:
    """Wait until others leave half of the processors to us; tells the share that they take.

    What they do at low priority makes way, here and in the rule.
    """
    deadline = time.monotonic() + within
    while (others := _taken_in(5)) > 0.5:
        if time.monotonic() > deadline:
            pytest.skip(
                f"others keep this machine {others:.0%} busy: neither beginning nor end would be ours"
            )
    return others


def _taken_in(seconds: float) -> float:
    taken = psutil.cpu_times_percent(seconds)
    return (100 - taken.idle - taken.iowait - taken.nice) / 100


async def test_connections_that_somebody_holds(house: House, suffers: Callable[..., Awaitable[None]]) -> None:
    held: list[asyncpg.Connection] = []
    loop = asyncio.get_running_loop()

    async def take() -> None:
        held.extend([await asyncpg.connect(house.superuser) for _ in range(55)])

    async def give() -> None:
        for connection in held:
            await connection.close()

    def on_loop(of: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: asyncio.run_coroutine_threadsafe(of(), loop).result(60)

    await suffers("DatabaseConnections", on_loop(take), on_loop(give))


async def test_a_certificate_that_runs_out(expiring: asyncio.Task[None]) -> None:
    await expiring


async def test_an_archive_that_nobody_takes(refused: asyncio.Task[None]) -> None:
    await refused


async def test_a_database_that_is_away_is_one_message(
    house: House, suffers: Callable[..., Awaitable[None]], visitors: None
) -> None:
    began = time.time()
    shut = f'ALTER DATABASE "{house.name}" WITH CONNECTION LIMIT 0'
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{house.name}'"
    ours = [f"{cut} AND usename = '{role}'" for role in ROLES]
    end = house.does(f'ALTER DATABASE "{house.name}" WITH CONNECTION LIMIT -1')
    await suffers("DatabaseUnreachable", house.does(shut, *ours), lambda: (time.sleep(8), end()))
    machine = {"MemoryLow", "CpuBusy"}  # others on this machine may bring these about meanwhile
    assert house.site.people.heard_since(began) - machine == {"DatabaseUnreachable"}
