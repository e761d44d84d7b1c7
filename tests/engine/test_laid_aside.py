"""A turn that is laid aside leaves no customer waiting for nothing."""

from collections.abc import Awaitable, Callable

import pytest
from tests.chat import house
from tests.conftest import Databases
from tests.engine.conftest import Line, eventually
from tests.engine.workers import Aloud, at_work

from metachat.foundation.queue import Limits


@pytest.mark.parametrize(("deaths", "told"), [(4, True), (5, True), (6, False)])
async def test_whoever_asked_is_told_and_a_person_is_called(
    deaths: int,
    told: bool,
    open_line: Callable[..., Awaitable[Line]],
    databases: Databases,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = await open_line(quiet_seconds=0)
    asked = await line.writes("How long does delivery to Austria take?")
    # As after workers that died at it; after more deaths, they died of the farewell.
    await line.rows("UPDATE jobs SET deaths = $1 WHERE kind = 'turn'", deaths)
    limits = Limits(deaths=4, sweep=0.5)
    async with at_work(databases.worker, lambda database: house.desk(database, Aloud(0)), limits):
        await eventually(lambda: line.rows("SELECT id FROM dead_jobs WHERE kind = 'turn'"))
    replies = await line.replies(asked.conversation_id)
    assert [reply.detail.get("failed") for reply in replies] == (["laid_aside"] if told else [])
    (state,) = await line.rows("SELECT state FROM conversations WHERE id = $1", asked.conversation_id)
    assert state["state"] == ("waiting" if told else "assistant")
    assert "asked" not in capsys.readouterr().out, "the model was asked once more"
