"""What is begun before it is asked for: given once, bounded, and never in anybody's way."""

import asyncio

import pytest

from metachat.foundation.prefetch import Prefetch


class Work:
    """Work that counts how often it was begun, and waits to be allowed to end."""

    def __init__(self) -> None:
        self.begun = 0
        self.dropped = 0
        self.go = asyncio.Event()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        return f"outcome {self.begun}"


async def test_it_is_begun_once_and_given_once() -> None:
    early, work = Prefetch[str, str](), Work()
    early.begin("a", work)
    early.begin("a", work)
    await asyncio.sleep(0)
    assert work.begun == 1
    work.go.set()
    assert await early.take("a") == "outcome 1"
    assert await early.take("a") is None


async def test_what_was_not_begun_is_the_askers() -> None:
    assert await Prefetch[str, str]().take("a") is None


async def test_a_failure_leaves_the_work_to_the_asker(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> str:
        raise ValueError("not today")

    early = Prefetch[str, str]()
    early.begin("asked", fails)
    early.begin("not asked", fails)
    assert await early.take("asked") is None
    await asyncio.sleep(0.01)
    assert not caplog.records


async def test_no_more_than_so_many_at_a_time() -> None:
    early, work = Prefetch[int, str](most=2), Work()
    for number in range(5):
        early.begin(number, work)
    await asyncio.sleep(0)
    assert work.begun == 2
    work.go.set()
    assert await early.take(0) is not None
    assert await early.take(4) is None
    early.begin(4, work)
    assert await early.take(4) == "outcome 3"


async def test_what_nobody_asks_for_is_dropped() -> None:
    early, work = Prefetch[str, str](kept=0.02), Work()
    early.begin("a", work)
    await asyncio.sleep(0.05)
    assert work.dropped == 1
    assert await early.take("a") is None


async def test_an_asker_who_gives_up_takes_it_along() -> None:
    early, work = Prefetch[str, str](), Work()
    early.begin("a", work)
    asking = asyncio.create_task(early.take("a"))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert work.dropped == 1
