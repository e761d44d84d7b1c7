"""How much may be asked: counted over all processes together, told by headers, and never waited for."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import asyncpg
import httpx
import pytest
from tests.conftest import Databases
from tests.web.conftest import Office
from tests.web.process import Process

from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.db import Database
from metachat.foundation.rates import Rate, Rates, TooFast

# What two processes may let through besides, for they tell each other in parts of a burst; alone it were 12.
UNTOLD = 8


@pytest.fixture
def processes(as_environment: dict[str, str]) -> Iterator[Callable[..., list[httpx.Client]]]:
    """Starts two api processes with small limits; gives a client of each."""
    with ExitStack() as opened:

        def start(**limits: int) -> list[httpx.Client]:
            rates = {f"METACHAT_{name.upper()}": str(value) for name, value in limits.items()}
            started = [Process(as_environment | rates) for _ in range(2)]
            for process in started:
                opened.callback(_end, process)
            assert [process.is_ready() for process in started] == [200, 200]
            return [opened.enter_context(httpx.Client(base_url=one.address)) for one in started]

        yield start


def _end(process: Process) -> None:
    process.child.kill()
    process.child.wait()
    if process.child.stderr:
        process.child.stderr.close()


def _ask(clients: list[httpx.Client], path: str, headers: dict[str, str], times: int) -> list[httpx.Response]:
    """Ask processes in turn, as a proxy does."""
    turns = itertools.islice(itertools.cycle(clients), times)
    return [client.get(path, headers=headers) for client in turns]


def _passed(answers: list[httpx.Response]) -> int:
    return sum(answer.status_code != 429 for answer in answers)


def test_an_address_is_counted_by_all_processes_together(
    processes: Callable[..., list[httpx.Client]],
) -> None:
    clients = processes(rate_per_address=2)
    _ask(clients, "/sign-in", {"X-Forwarded-For": "203.0.113.7"}, 6)  # their first connections are made
    began = time.monotonic()
    answers = _ask(clients, "/sign-in", {"X-Forwarded-For": "203.0.113.5"}, 40)
    refilled = 2 * (time.monotonic() - began)
    assert 12 <= _passed(answers) <= 12 + UNTOLD + refilled
    first, last = answers[0], answers[-1]
    assert first.headers["ratelimit-policy"] == '"address";q=12;w=6'
    assert first.headers["ratelimit"] == '"address";r=11;t=1'
    assert last.status_code == 429
    assert last.headers["ratelimit"].startswith('"address";r=0;')
    assert 1 <= int(last.headers["retry-after"]) <= 1 + UNTOLD / 2
    assert last.json()["code"] == "too_many_requests"
    # Somebody else is let in, and who waits as they were told is as well.
    assert _passed(_ask(clients, "/sign-in", {"X-Forwarded-For": "203.0.113.6"}, 2)) == 2
    deadline = time.monotonic() + 10
    while _passed(_ask(clients[:1], "/sign-in", {"X-Forwarded-For": "203.0.113.5"}, 1)) == 0:
        assert time.monotonic() < deadline


def test_pages_files_health_and_this_machine_are_not_counted(
    processes: Callable[..., list[httpx.Client]],
) -> None:
    clients = processes(rate_per_address=1)
    assert _passed(_ask(clients, "/health/live", {"X-Forwarded-For": "203.0.113.5"}, 30)) == 30
    assert _passed(_ask(clients, "/sign-in", {}, 30)) == 30


async def test_a_key_and_its_tenant_are_counted_by_all_processes_together(
    processes: Callable[..., list[httpx.Client]], acme: Office, rival: Office
) -> None:
    key, other, foreign = [
        {"Authorization": f"Bearer {await office.key(ApiScope.CONVERSATIONS_READ)}"}
        for office in (acme, acme, rival)
    ]
    clients = processes(rate_per_key=1, rate_per_tenant=2)
    began = time.monotonic()
    path = "/api/v1/conversations"
    answers = _ask(clients, path, key, 30)
    assert 10 <= _passed(answers) <= 10 + UNTOLD + (time.monotonic() - began)
    assert answers[0].headers["ratelimit-policy"] == '"key";q=10;w=10, "tenant";q=20;w=10'
    # Another key has its own limit, until the tenant's is used up; a member shares that.
    answers = _ask(clients, path, other, 9)
    assert _passed(answers) >= 2
    while _passed(_ask(clients, path, other, 2)) > 0:
        assert time.monotonic() - began < 20
    anna = {"Cookie": (await acme.enters(Role.OWNER)).cookie}
    third = {"Authorization": f"Bearer {await acme.key(ApiScope.CONVERSATIONS_READ)}"}
    mine = _ask(clients, path, third, 40) + _ask(clients, path, anna, 10)
    refused = [answer for answer in mine if answer.status_code == 429]
    assert refused
    assert any('"tenant";r=0' in answer.headers["ratelimit"] for answer in refused)
    # A stranger is not held up by any of this.
    assert _passed(_ask(clients, path, foreign, 5)) == 5


async def test_no_request_waits_for_the_count(
    processes: Callable[..., list[httpx.Client]], databases: Databases
) -> None:
    clients = processes(rate_per_address=2)
    visitor = {"X-Forwarded-For": "203.0.113.5"}
    holder = await asyncpg.connect(databases.superuser)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE rate_levels")
            began = time.monotonic()
            answers = _ask(clients, "/sign-in", visitor, 10)
            assert time.monotonic() - began < 1.5  # the patience with the database is 2 s
            assert _passed(answers) == 10
            # Each process counts for itself meanwhile.
            assert 24 <= _passed(answers + _ask(clients, "/sign-in", visitor, 40)) <= 24 + 12
    finally:
        await holder.close()


async def test_the_database_learns_no_address(app_db: Database) -> None:
    rates = Rates(app_db, b"salt")
    rates.take("address", Rate(10, 1), "203.0.113.5")
    await rates.close()
    async with app_db.transaction() as db:
        (row,) = await db.all("SELECT key, full_at > now() AS used FROM rate_levels")
    assert row["used"]
    assert len(row["key"]) == 16
    assert b"203" not in row["key"]


async def test_what_is_whole_again_is_forgotten(app_db: Database) -> None:
    time_now = [1000.0]
    rates = Rates(app_db, b"salt", clock=lambda: time_now[0])
    rate = Rate(1, 10)
    for visitor in range(30):
        rates.take("address", rate, f"visitor {visitor}")
    with pytest.raises(TooFast):
        rates.take("address", rate, "visitor 1")
    await rates.close()
    time_now[0] += 120
    async with app_db.transaction() as db:
        while await db.value("SELECT count(*) FROM rate_levels WHERE full_at > clock_timestamp()"):
            pass  # the database goes by its own clock
    rates.take("address", rate, "visitor 1")
    await rates.close()
    async with app_db.transaction() as db:
        assert await db.value("SELECT count(*) FROM rate_levels") <= 1
