"""The worker process itself, as `metachat worker` starts it."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process

from tests.conftest import Databases
from tests.queue.conftest import Site, eventually


async def start(environment: dict[str, str]) -> Process:
    """Start a worker process."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "metachat", "worker", stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
    )


async def test_it_says_that_it_works_and_ends_when_asked(site: Site, as_environment: dict[str, str]):
    process = await start(as_environment)
    try:
        (worker,) = await eventually(lambda: site.superuser("SELECT name, in_flight FROM workers"), within=30)
        assert f":{process.pid}:" in worker["name"]
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert process.returncode == 0, errors
    # The worker's own daily job may just be running when it is asked to stop.
    events = [line["event"] for line in lines if line["event"] != "finishing what runs"]
    assert events == ["worker ready", "worker stopped"]
    assert all(line["process"] == "worker" for line in lines)
    assert await site.count("workers") == 0


async def test_without_a_database_it_says_so_and_ends(databases: Databases, as_environment: dict[str, str]):
    away = {**as_environment, "METACHAT_WORKER_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    process = await start(away)
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 69
    assert b"database cannot be reached" in errors
    assert b"Traceback" not in errors
