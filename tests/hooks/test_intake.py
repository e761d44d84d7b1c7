"""Group commit: many requests in one commit, a bad one alone, and no more than fits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.conftest import Databases
from tests.hooks import meta
from tests.hooks.conftest import Shop

from metachat.domain.channels import inbox
from metachat.domain.channels.inbox import Post, Update
from metachat.foundation.db import Database, DatabaseAway, Transaction
from metachat.foundation.realtime import Announces
from metachat.web.hooks import Intake, Overloaded
from metachat.web.hooks.door import HookDoor
from metachat.web.hooks.intake import Bounds


class Counting:
    """A real database that counts its commits, and lets them wait at a gate."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transactions = 0
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def announcer(self) -> Announces | None:
        """Whoever tells of what was stored."""
        return self.database.announcer

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """Run a statement once the gate is open."""
        self.transactions += 1
        async with self.database.statement() as db:
            await self.gate.wait()
            yield db


def post(shop: Shop, *keys: str, lane: str = "inbox:x", payload: bytes = b"{}") -> Post:
    """One request with these updates."""
    updates = tuple(Update(key, "message", lane, payload) for key in keys)
    return Post("whatsapp", shop.channel.id, shop.tenant, updates)


def intake(database: Any, **bounds: Any) -> Intake:
    """An intake on a counting database."""
    return Intake(database, Bounds(**bounds))


async def keys(shop: Shop) -> list[str]:
    """What is stored, in its order."""
    return [row["dedupe_key"] for row in await shop.inbox()]


async def begun(counting: Counting, transactions: int = 1) -> None:
    """Wait until that many commits have begun."""
    async with asyncio.timeout(5):
        while counting.transactions < transactions:
            await asyncio.sleep(0)


async def test_what_arrives_during_a_commit_is_the_next_one(shop: Shop) -> None:
    counting = Counting(shop.platform.database)
    store = intake(counting)
    counting.gate.clear()
    first = asyncio.create_task(store.store(post(shop, "first")))
    await begun(counting)
    others = [asyncio.create_task(store.store(post(shop, f"k{n:02d}"))) for n in range(40)]
    await asyncio.sleep(0)
    counting.gate.set()
    await asyncio.gather(first, *others)
    assert counting.transactions == 2
    # In the order of arrival, whatever the order of the keys.
    assert await keys(shop) == ["first", *(f"k{n:02d}" for n in range(40))]


async def test_an_order_that_is_not_the_keys_order_is_kept(shop: Shop) -> None:
    await intake(shop.platform.database).store(post(shop, "c", "a", "b"))
    assert await keys(shop) == ["c", "a", "b"]


async def test_a_batch_is_bounded(shop: Shop) -> None:
    counting = Counting(shop.platform.database)
    store = intake(counting, batch_rows=10)
    counting.gate.clear()
    tasks = [asyncio.create_task(store.store(post(shop, *(f"{n}.{m}" for m in range(5))))) for n in range(9)]
    await begun(counting)
    counting.gate.set()
    await asyncio.gather(*tasks)
    # The first goes alone, or with those that came in the same moment; never more than two at once.
    assert counting.transactions >= 5
    assert len(await keys(shop)) == 45


async def test_a_bad_row_harms_nobody_else(shop: Shop) -> None:
    counting = Counting(shop.platform.database)
    store = intake(counting)
    bad = [
        post(shop, "ok1", "a\x00b", "ok2", payload=b"nul"),
        post(shop, "x" * 500, payload=b"long"),
        post(shop, "lone \ud800", payload=b"surrogate"),
        post(shop, "lane", lane="inbox:" + "y" * 300, payload=b"lane"),
    ]
    good = [post(shop, f"good{n}") for n in range(5)]
    await asyncio.gather(*(store.store(item) for item in [*good[:2], *bad, *good[2:]]))
    rows = await shop.inbox()
    assert {row["dedupe_key"] for row in rows} > {"ok1", "ok2", *(f"good{n}" for n in range(5))}
    refused = [row for row in rows if row["state"] == "unparsed"]
    assert {row["payload"] for row in refused} == {b"nul", b"long", b"surrogate", b"lane"}
    assert all("refused by the database" in row["error"] for row in refused)


async def test_when_the_database_is_away_nobody_is_told_that_all_is_well(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inbox.take_in

    async def away(db: Transaction, posts: Sequence[Post], announcer: Announces | None = None) -> None:
        await real(db, posts, announcer)
        raise DatabaseAway("gone before it told of the commit")

    monkeypatch.setattr(inbox, "take_in", away)
    change = meta.change(meta.value(meta.message()))
    answer = await shop.deliver(change)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    monkeypatch.undo()
    # It was stored after all; delivered again, as it will be, it is no second row.
    assert (await shop.deliver(change)).status_code == 200
    assert len(await shop.inbox()) == 1


@pytest.mark.parametrize("bounds", [{"waiting_rows": 8}, {"waiting_bytes": 8 * 502}])
async def test_more_than_fits_is_refused_at_once(shop: Shop, bounds: dict[str, int]) -> None:
    counting = Counting(shop.platform.database)
    store = intake(counting, **bounds)
    counting.gate.clear()
    tasks = [asyncio.create_task(store.store(post(shop, f"k{n}"))) for n in range(20)]
    await begun(counting)
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 12
    counting.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 12
    assert len(await keys(shop)) == 8
    await store.store(post(shop, "there is room again"))


async def test_a_commit_that_hangs_is_not_waited_for_for_ever(shop: Shop) -> None:
    counting = Counting(shop.platform.database)
    store = intake(counting, patience=0.05)
    counting.gate.clear()
    with pytest.raises(Overloaded):
        await store.store(post(shop, "late"))
    counting.gate.set()
    await store.store(post(shop, "next"))
    assert await keys(shop) == ["next"]


class Silent:
    """Counts nothing."""

    def count_refused_hook(self, provider: str, reason: str) -> None:
        """Nothing."""

    def count_updates(self, provider: str, kind: str, count: int) -> None:
        """Nothing."""

    def count(self, scope: Any, status: int, seconds: float) -> None:
        """Nothing."""


async def test_bodies_are_held_within_a_limit(shop: Shop) -> None:
    door = HookDoor(shop.platform, Intake(shop.platform.database), Silent(), held_limit=10_000)
    body = meta.webhook(meta.change(meta.value(meta.message())))
    opened = asyncio.Event()

    async def ask(length: int) -> int:
        statuses: list[int] = []
        headers = [(name.encode(), text.encode()) for name, text in meta.signed(body).items()]
        scope = {
            "type": "http", "method": "POST", "path": shop.address,
            "headers": [*headers, (b"content-length", str(length).encode())],
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            await opened.wait()
            return {"type": "http.request", "body": body}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await door(scope, receive, send)
        return statuses[0]

    assert await ask(10_001) == 503
    slow = [asyncio.create_task(ask(3_000)) for _ in range(5)]
    async with asyncio.timeout(5):
        while sum(task.done() for task in slow) < 2:
            await asyncio.sleep(0)
    opened.set()
    assert sorted(await asyncio.gather(*slow)) == [200, 200, 200, 503, 503]
    assert await ask(9_000) == 200


async def _calm(store: Intake, *posts: Post) -> None:
    for one in posts:
        await asyncio.sleep(0.02)
        await store.store(one)


async def test_one_that_comes_alone_is_told_of_at_once_and_durable_when_acknowledged(
    shop: Shop, databases: Databases
) -> None:
    # Tests elsewhere wait for no disk.
    waiting = f"{databases.app}&synchronous_commit=on"
    database = await Database.open(waiting, announcer=shop.platform.announcer)
    store = intake(database)
    async with asyncio.timeout(10):
        while not shop.platform.listener.connected:
            await asyncio.sleep(0.01)
    async with shop.platform.listener.subscribe("wake") as wakes:
        for number in range(10):
            (before,) = await shop.rows("SELECT pg_current_wal_insert_lsn() AS lsn")
            await _calm(store, post(shop, f"k{number}", lane=f"inbox:{number}"))
            # Nothing else waits for the disk here: what was not flushed by it would not be for a while.
            (after,) = await shop.rows("SELECT pg_current_wal_flush_lsn() > $1 AS flushed", before["lsn"])
            assert after["flushed"]
            told = await wakes.next(within=5)
            assert told == {"lane": f"inbox:{number}", "tenant": str(shop.tenant)}
    assert shop.platform.announcer.sent == 0
    await database.close()
    jobs = await shop.rows("SELECT lane, kind, tenant_id FROM jobs ORDER BY id")
    assert [tuple(job.values()) for job in jobs] == [
        (f"inbox:{number}", "inbox", shop.tenant) for number in range(10)
    ]


async def test_one_that_comes_alone_is_kept_once(shop: Shop) -> None:
    store = intake(shop.platform.database)
    malformed = Update("broken", "malformed", "inbox:x", b"?", error="no JSON")
    broken = Post("whatsapp", shop.channel.id, shop.tenant, (malformed,))
    await _calm(store, post(shop, "one"), post(shop, "one"), broken, broken)
    rows = [(row["dedupe_key"], row["state"], row["error"]) for row in await shop.inbox()]
    assert rows == [("one", "new", None), ("broken", "unparsed", "no JSON")]
    assert len(await shop.rows("SELECT FROM jobs")) == 1


async def test_whose_news_somebody_here_sees_first_goes_the_usual_way(shop: Shop) -> None:
    announcer, seen = shop.platform.announcer, list[Any]()
    announcer.offer("wake", lambda news: seen.append(news) is None)
    await _calm(intake(shop.platform.database), post(shop, "one"))
    assert [list(news["lanes"]) for news in seen] == [["inbox:x"]]
    assert await keys(shop) == ["one"]
