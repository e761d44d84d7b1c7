"""Workers that are killed while customers write in bursts: each burst gets exactly one reply."""

import asyncio
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from tests.conftest import Databases
from tests.engine.conftest import Line, eventually

from metachat.foundation.ids import ConversationId

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))
_WORKER = Path(__file__).with_name("workers.py")
QUIET = 0.5


@asynccontextmanager
async def victim(databases: Databases) -> AsyncIterator[Process]:
    """A worker process, killed at the end at the latest."""
    mine = {
        "VICTIM_DATABASE": databases.worker, "VICTIM_PAUSE": "0.15",
        "PYTHONPATH": str(_WORKER.parents[2]),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_WORKER), stdout=PIPE, env={**os.environ, **mine}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _asked(process: Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


@pytest.mark.parametrize("seed", SEEDS)
async def test_bursts_are_answered_once_whenever_the_worker_dies(
    open_line: Callable[..., Awaitable[Line]], databases: Databases, seed: int
) -> None:
    line, chance = await open_line(quiet_seconds=QUIET), random.Random(seed)
    conversations: dict[str, ConversationId] = {}

    async def write(who: str) -> None:
        for number in range(chance.randint(2, 4)):
            message = await line.writes(f"{number}. How long does delivery take?", who)
            conversations[who] = message.conversation_id
            await asyncio.sleep(chance.random() * QUIET * 0.6)

    writing = asyncio.gather(*(write(f"customer-{number}") for number in range(8)))
    for _ in range(3):
        async with victim(databases) as process:
            for _ in range(chance.randint(1, 3)):
                assert (await _asked(process)).startswith("asked")
            await asyncio.sleep(chance.random() * 0.3)
            process.kill()
            await process.wait()
        if writing.done() and await line.is_idle():
            break
    await writing
    async with victim(databases) as process:
        await eventually(line.is_idle, within=60)
    for id in conversations.values():
        said = await line.transcript(id)
        replies = [message for message in said if message.author == "assistant"]
        customers = [message for message in said if message.author == "customer"]
        assert {message.answered_by for message in customers} == {reply.id for reply in replies}
        # On a busy machine a customer may have paused for longer than they meant to.
        times = [message.created_at.timestamp() for message in customers]
        pauses = sum(after - before > QUIET * 0.8 for before, after in pairwise(times))
        assert 1 <= len(replies) <= 1 + pauses, [message.text for message in said]
