"""While an answer is made the customer sees that they were read; it never costs them their answer."""

import time

from tests.sending.conftest import ANA, Shop

QUESTION = "How long does delivery take?"


async def test_a_question_is_marked_read(shop: Shop) -> None:
    async with shop.worker():
        await shop.says(ANA, QUESTION)
        await shop.received(1)
        await shop.meta.eventually(lambda: shop.meta.sent()[0].step == "read")


async def test_a_channel_may_do_without(shop: Shop) -> None:
    await shop.set(mark_read=False)
    async with shop.worker():
        await shop.says(ANA, QUESTION)
        await shop.received(1)
    assert shop.meta.sent()[0].step != "read"


async def test_neither_slowness_nor_refusal_of_it_delays_the_answer(shop: Shop) -> None:
    shop.meta.fails("slow", where="read", seconds=8, times=1)
    async with shop.worker():
        begun = time.monotonic()
        await shop.says(ANA, QUESTION)
        await shop.received(1)
        assert time.monotonic() - begun < 5
        shop.meta.recovers()
        shop.meta.fails("error", where="read", code=131000)
        await shop.says(ANA, "And how long do returns take?")
        await shop.received(2)
    assert not await shop.rows("SELECT FROM dead_jobs")
