"""Processes die with kill -9 in the middle of an answer; the customer still gets exactly one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import psutil
import pytest
from bench.chat_site import ChatSite, furnish, listen, ready
from tests.chat.house import Event, Visitor

from metachat.domain.channels import Channel, find
from metachat.foundation.db import Database
from metachat.foundation.ids import ChannelId, TenantId
from metachat.foundation.scope import open_scope

QUESTION = "What does standard delivery to Germany cost?"
# Long enough that a busy machine still sees it in the middle.
PAUSE = "0.8"


@pytest.fixture
async def site(as_environment: dict[str, str], tmp_path: Path) -> AsyncIterator[ChatSite]:
    """Two api processes and a worker whose model takes its time."""
    running = ChatSite(as_environment, listen())
    try:
        await furnish(running, tmp_path, "shipping.md")
        running.start_api()
        running.start_api()
        running.start_worker("--pause", PAUSE)
        await running.indexed()
        await ready(running)
        yield running
    finally:
        running.stop()


@pytest.fixture
async def visitor(site: ChatSite, app_db: Database) -> AsyncIterator[Visitor]:
    """A customer in front of it."""
    async with open_scope(app_db, _tenant(site), actor="cli") as scope:
        channel: Channel = await find(scope, ChannelId(UUID(site.channel)))
    customer = await Visitor(f"http://127.0.0.1:{site.port}", channel).begins()
    yield customer
    await customer.leaves()


async def test_the_worker_dies_and_another_one_answers_once(
    site: ChatSite, visitor: Visitor, app_db: Database, worker_db: Database
) -> None:
    worker = site.processes[-1]
    heard: list[Event] = []
    async with asyncio.timeout(40), visitor.reads() as events:
        assert (await visitor.says(QUESTION)).status_code == 202
        async for event in events:
            heard.append(event)
            tokens = [event for event in heard if event.name == "token"]
            if len(tokens) == 2 and worker.poll() is None:
                worker.kill()
                worker.wait()
                site.start_worker("--pause", PAUSE)
            if event.name == "message" and event.data["author"] == "assistant":
                break
    drafts = {event.data["message"] for event in heard if event.name == "token"}
    assert len(drafts) == 2, "the answer was begun twice, and told once"
    await _nothing_left_to_do(worker_db)
    history = await visitor.history()
    assert [message["author"] for message in history] == ["customer", "assistant"]
    assert history[1]["text"] == heard[-1].data["text"]
    assert history[1]["citations"]


async def test_the_api_process_dies_and_the_reader_goes_on_with_another_one(
    site: ChatSite, visitor: Visitor, worker_db: Database
) -> None:
    answer, text, connections = None, "", 0
    asked = False
    async with asyncio.timeout(40):
        while answer is None:
            connections += 1
            try:
                async with visitor.reads(after=0) as events:
                    asked = asked or (await visitor.says(QUESTION)).status_code == 202
                    async for event in events:
                        if event.name == "token":
                            assert event.data["offset"] <= len(text), "no gap, whatever was missed"
                            text = text[: event.data["offset"]] + event.data["text"]
                            if connections == 1:
                                _process_that_serves(site, visitor).kill()
                        elif event.name == "message" and event.data["author"] == "assistant":
                            answer = event.data
                            break
            except httpx.TransportError:
                continue
    assert connections == 2, "one process died, the other one served on"
    assert text == answer["text"]
    await _nothing_left_to_do(worker_db)
    assert [message["author"] for message in await visitor.history()] == ["customer", "assistant"]


def _process_that_serves(site: ChatSite, visitor: Visitor) -> psutil.Process:
    """Find the api process at the other end of the visitor's stream."""
    for started in site.processes[:2]:
        process = psutil.Process(started.pid)
        held = [
            connection
            for connection in process.net_connections("tcp")
            if connection.raddr and connection.raddr.port == visitor.reading_port
        ]
        if held:
            return process
    raise AssertionError("nobody serves this visitor")


async def _nothing_left_to_do(database: Database) -> None:
    async with asyncio.timeout(20):
        while True:
            async with database.transaction() as db:
                if not await db.value("SELECT count(*) FROM jobs"):
                    return
            await asyncio.sleep(0.05)


def _tenant(site: ChatSite) -> TenantId:
    assert site.tenant is not None
    return site.tenant
