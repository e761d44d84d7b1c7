"""Who dawdles is sent away; who is done, or goes away by themselves, is not touched."""

import asyncio

import pytest

from metachat.web.hooks.patience import Patience


async def dawdle(patience: Patience) -> str:
    """Wait for ever, within the limit."""
    with patience.limit():
        await asyncio.Event().wait()
    return "never"


async def test_each_gets_its_time_and_no_more() -> None:
    patience, began = Patience(0.05), asyncio.get_running_loop().time()
    first = asyncio.create_task(dawdle(patience))
    await asyncio.sleep(0.03)
    second = asyncio.create_task(dawdle(patience))
    with pytest.raises(TimeoutError):
        await first
    assert not second.done()
    with pytest.raises(TimeoutError):
        await second
    assert asyncio.get_running_loop().time() - began >= 0.08
    with pytest.raises(TimeoutError):  # the timer is set again
        await dawdle(patience)


async def test_who_was_in_time_is_not_interrupted_afterwards() -> None:
    patience = Patience(0.02)
    with patience.limit():
        await asyncio.sleep(0)
    await asyncio.sleep(0.04)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_stays_one() -> None:
    task = asyncio.create_task(dawdle(Patience(5)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
