"""A door that is killed under load loses nothing that it acknowledged, and nothing arrives twice."""

import asyncio
import os
import random
from collections.abc import Iterator

import httpx
import pytest
from tests.hooks import meta
from tests.hooks.conftest import Shop
from tests.web.process import Process

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))
POSTS, EACH, AT_ONCE = 120, 5, 16


@pytest.fixture
def pair(as_environment: dict[str, str]) -> Iterator[list[Process]]:
    """Two api processes on one database."""
    started = [Process(as_environment) for _ in range(2)]
    for process in started:
        assert process.is_ready() == 200
    yield started
    for process in started:
        process.child.kill()
        process.child.wait()
        if process.child.stderr:
            process.child.stderr.close()


class Meta:
    """Delivers until it is acknowledged, now and then twice, to either process."""

    def __init__(self, shop: Shop, pair: list[Process], seed: int) -> None:
        self.shop, self.chance = shop, random.Random(seed)
        self.addresses = [process.address for process in pair]
        self.acknowledged: set[str] = set()
        self.refused = 0

    async def deliver(self, client: httpx.AsyncClient, ids: list[str]) -> None:
        """Deliver one batch, and again, as long as nobody says that it is stored."""
        body = meta.webhook(meta.change(meta.value(*(meta.message(id, id=id) for id in ids))))
        for _ in range(self.chance.choice((1, 1, 2))):
            while not await self.once(client, body):
                self.refused += 1
            self.acknowledged.update(ids)

    async def once(self, client: httpx.AsyncClient, body: bytes) -> bool:
        """Deliver once; False when it is not acknowledged."""
        address = self.chance.choice(self.addresses) + self.shop.address
        try:
            return (await client.post(address, content=body, headers=meta.signed(body))).status_code == 200
        except httpx.TransportError:
            return False


@pytest.mark.parametrize("seed", SEEDS)
async def test_killed_under_load_what_was_acknowledged_is_stored(
    shop: Shop, pair: list[Process], seed: int
) -> None:
    sender = Meta(shop, pair, seed)
    batches = [[meta.wamid() for _ in range(EACH)] for _ in range(POSTS)]
    waiting = iter(batches)
    async with httpx.AsyncClient(timeout=20) as client:

        async def deliver_all() -> None:
            for ids in waiting:
                await sender.deliver(client, ids)

        tasks = [asyncio.create_task(deliver_all()) for _ in range(AT_ONCE)]
        while len(sender.acknowledged) < POSTS * EACH // 4:
            await asyncio.sleep(0)
        pair[0].child.kill()
        acknowledged = set(sender.acknowledged)
        stored = {row["dedupe_key"].rsplit(":", 1)[1] for row in await shop.inbox()}
        assert acknowledged <= stored, "acknowledged and lost"
        sender.addresses = sender.addresses[1:]
        await asyncio.gather(*tasks)
    await shop.work()
    said = [row["text"] for row in await shop.messages()]
    assert sorted(said) == sorted(id for ids in batches for id in ids)
    assert {row["state"] for row in await shop.inbox()} == {"parsed"}
