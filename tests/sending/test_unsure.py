"""Sendings whose outcome nobody told us: the line broke, or the worker died, after Meta had the request."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from tests.sending.conftest import ANA, Shop

from metachat.domain.channels import Progress
from metachat.domain.conversations import advance
from metachat.foundation.counts import counted
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope


async def test_a_message_whose_answer_was_lost_is_known_by_its_status_and_not_repeated(shop: Shop) -> None:
    async with shop.worker(outcome_wait=5):
        id = await shop.greeted()
        shop.meta.fails("cut_after", times=1)
        row = await shop.came_to(await shop.answers(id, "Once"), "sent")
    assert shop.at_phones().count("Once") == 1
    assert "repeated" not in row["detail"]
    assert row["provider_id"] == next(seen.id for seen in shop.meta.arrivals() if seen.text == "Once")


async def test_without_a_status_it_is_repeated_after_a_while_and_that_is_counted(shop: Shop) -> None:
    before = counted("deliveries").get("repeated", 0)
    async with shop.worker(outcome_wait=0.5):
        id = await shop.greeted()
        shop.meta.weather(withheld=True)
        shop.meta.fails("cut_after", times=1)
        row = await shop.came_to(await shop.answers(id, "Twice, sadly"), "sent")
    assert shop.at_phones().count("Twice, sadly") == 2
    assert row["detail"]["repeated"] == 1
    assert counted("deliveries")["repeated"] == before + 1


async def test_a_line_that_broke_before_meta_heard_anything_is_tried_again(shop: Shop) -> None:
    async with shop.worker(outcome_wait=0.5):
        id = await shop.greeted()
        shop.meta.fails("cut", times=1)
        await shop.came_to(await shop.answers(id, "Once"), "sent")
    assert shop.at_phones().count("Once") == 1


async def test_each_part_of_a_long_message_is_sent_once_though_an_answer_is_lost(shop: Shop) -> None:
    text = "A sentence of some length. " * 280
    async with shop.worker(outcome_wait=5):
        id = await shop.greeted()
        shop.meta.fails("cut_after", times=1)
        await shop.came_to(await shop.answers(id, text.strip()), "sent", within=25)
    first, second = shop.at_phones()[1:]
    assert " ".join([first, second]).split() == text.split()


async def test_a_strangers_status_adopts_nothing(shop: Shop, stranger: TenantId) -> None:
    async with shop.worker():
        id = await shop.greeted()
    message = await shop.answers(id, "Ours")
    told = Progress(shop.channel.id, "wamid.theirs", "delivered", message=str(message.id))
    # A receipt of another tenant's channel cannot even be kept.
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with open_scope(shop.platform.database, stranger, actor="worker") as scope:
            await advance(scope, told)
    (row,) = await shop.rows("SELECT status, provider_id FROM messages WHERE id = $1", message.id)
    assert (row["status"], row["provider_id"]) == ("queued", None)
    async with shop.scope() as scope:
        assert await advance(scope, told)
    (row,) = await shop.rows("SELECT status, provider_id FROM messages WHERE id = $1", message.id)
    assert (row["status"], row["provider_id"]) == ("delivered", "wamid.theirs")
    assert not await shop.rows("SELECT * FROM deliveries")


@asynccontextmanager
async def worker_process(shop: Shop) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own, which may be killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "metachat", "worker", env=shop.environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        while b"worker ready" not in (line := await process.stderr.readline()):
            assert line, "the worker ended"
        draining = asyncio.create_task(process.stderr.read())
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()
        await draining


@pytest.mark.parametrize(("told", "copies"), [(True, 1), (False, 2)])
async def test_a_worker_killed_between_acceptance_and_commit(shop: Shop, told: bool, copies: int) -> None:
    async with shop.worker():
        id = await shop.greeted()
    shop.meta.fails("slow_after", seconds=60, times=1)
    shop.meta.weather(withheld=not told)
    message = await shop.answers(id, "Survives")
    async with worker_process(shop) as worker:
        await shop.received(2, ANA, within=30)  # Meta has it, and the worker waits for the answer
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
    async with shop.worker(outcome_wait=3):
        row = await shop.came_to(message, "sent", within=30)
        await shop.came_to(await shop.answers(id, "And then"), "sent", within=30)
    assert shop.at_phones()[1:] == ["Survives"] * copies + ["And then"]
    assert row["detail"].get("repeated", 0) == copies - 1


async def test_what_was_told_while_no_worker_was_there_is_heard_before_anything_is_repeated(
    shop: Shop,
) -> None:
    async with shop.worker():
        id = await shop.greeted()
    shop.meta.fails("slow_after", seconds=60, times=1)
    message = await shop.answers(id, "Survives")
    async with worker_process(shop) as worker:
        await shop.received(2, ANA, within=30)
        os.kill(worker.pid, signal.SIGKILL)
        await worker.wait()
    (told, *_) = await shop.until("SELECT lane FROM inbox WHERE state = 'new' AND kind = 'status'")
    # Longer than a provider needs to tell; and another worker is slow to understand what it told.
    await asyncio.sleep(1.5)
    await shop.rows(
        "INSERT INTO lanes (lane, leased_by, leased_until)"
        " VALUES ($1, 'other:1:x.1', now() + interval '4 s') ON CONFLICT (lane)"
        " DO UPDATE SET leased_by = excluded.leased_by, leased_until = excluded.leased_until",
        told["lane"],
    )
    async with shop.worker(outcome_wait=0.5):
        row = await shop.came_to(message, "sent", within=30)
    assert shop.at_phones()[1:] == ["Survives"]
    assert "repeated" not in row["detail"]


async def test_however_long_the_wait_is_set_it_is_kept(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
    message = await shop.answers(id, "Once")
    await shop.rows("UPDATE deliveries SET started_at = now() - interval '6 minutes'")
    async with shop.worker(outcome_wait=600) as platform:
        delivery = await platform.office.start(shop.tenant, message.id)
    assert not delivery.started
    assert 200 < delivery.wait <= 240
    assert "Once" not in shop.at_phones()


async def test_what_meta_took_is_noted_though_the_database_was_away(shop: Shop) -> None:
    async with shop.worker():
        id = await shop.greeted()
        shop.meta.weather(withheld=True)
        shop.meta.fails("slow_after", seconds=1.5, times=1)
        message = await shop.answers(id, "Once")
        await shop.received(2, ANA)
        # Every connection of the worker breaks while the answer is on its way.
        await shop.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'metachat_worker'"
        )
        row = await shop.came_to(message, "sent", within=30)
    assert shop.at_phones().count("Once") == 1
    assert "repeated" not in row["detail"]
