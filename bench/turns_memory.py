"""What a worker weighs while it waits for hundreds of answers.

A real worker with the bundled embedder and the real adapter of an OpenAI-compatible model, which is on
loopback and takes its time.
"""

import asyncio
import time
from uuid import UUID, uuid4

import psutil
from tests.fakes.model_server import ModelServer, Reply

from bench.chat_site import ChatSite, chat_site
from bench.result import Result
from metachat.domain import assistant, conversations
from metachat.domain.assistant import Profile
from metachat.domain.channels import Inbound
from metachat.foundation.db import Database
from metachat.foundation.ids import ChannelId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope

TURNS = 500
LIMIT = 250.0
_MIB = 2**20
# Seconds: the first one gives up a little later, so that all are in flight together.
_PATIENCE = 44.0


async def run() -> list[Result]:
    """Fill a worker with turns, and weigh it before and meanwhile."""
    allowed = {"METACHAT_TURNS_IN_FLIGHT": str(TURNS + 100), "METACHAT_ALLOWED_NETWORKS": "127.0.0.0/8"}
    # It begins at once and goes on for longer than anybody waits.
    thinking = Reply("one word more " * 200, each=1.0)
    with ModelServer(thinking) as model:
        async with chat_site("--real", **allowed) as site:
            worker = psutil.Process(site.processes[-1].pid)
            idle = _weight(worker)
            database = await Database.open(site.environment["METACHAT_DATABASE_URL"], size=4)
            await _choose(site, database, model)
            began = time.perf_counter()
            await _ask(site, database)
            await _in_flight(model)
            seconds = time.perf_counter() - began
            busy = _weight(worker)
            sessions = await _in_transaction(database)
            await database.close()
    return [
        Result("worker with the bundled embedder, idle", idle, "MiB"),
        Result(f"worker with {TURNS} turns waiting for a model", busy, "MiB", LIMIT),
        Result("for each turn", (busy - idle) * 1024 / TURNS, "KiB"),
        Result("transactions open meanwhile", sessions, "", 0),
        Result(f"until all {TURNS} were asked", seconds, "s"),
    ]


async def _choose(site: ChatSite, database: Database, model: ModelServer) -> None:
    assert site.tenant is not None
    profile = Profile(provider="openai", model="slow", base_url=model.openai_url, api_key="sk-bench")
    key = Keyring.of(site.environment["METACHAT_ENCRYPTION_KEY"])
    async with open_scope(database, site.tenant, actor="cli") as scope:
        await assistant.set_profile(scope, key, profile)


async def _ask(site: ChatSite, database: Database) -> None:
    assert site.tenant is not None
    for number in range(TURNS):
        inbound = Inbound(
            ChannelId(UUID(site.channel)), f"guest-{number}", uuid4().hex, "How long does delivery take?"
        )
        async with open_scope(database, site.tenant, actor="cli") as scope:
            await conversations.receive(scope, inbound)


async def _in_flight(model: ModelServer) -> None:
    async with asyncio.timeout(_PATIENCE):
        while len(model.requests) < TURNS:
            await asyncio.sleep(0.2)


async def _in_transaction(database: Database) -> float:
    async with database.transaction() as db:
        return float(
            await db.value(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = 'metachat_worker' AND state LIKE 'idle in transaction%'"
            )
        )


def _weight(process: psutil.Process) -> float:
    """Resident memory that is the process's own."""
    return process.memory_info().rss / _MIB
