"""Who would tell is dead: a real `metachat watch` tells people, and the dead-man's switch hears silence."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator

import pytest

from tests.monitoring.far_end import FarEnd, Received, far_end
from tests.monitoring.house import House
from tests.monitoring.site import BASE, PACE, SILENT

pytestmark = [pytest.mark.alerts, pytest.mark.timeout(300)]


def later_than(moment: float) -> Callable[[Received], bool]:
    return lambda one: one.at > moment


async def test_the_sign_of_life_comes_and_comes_again(house: House) -> None:
    begun = time.time()
    first = await asyncio.to_thread(house.site.people.beats.await_, later_than(begun), 30)
    again = await asyncio.to_thread(house.site.people.beats.await_, later_than(first.at), 30)
    assert again.at - first.at < PACE.heartbeat * 2.5
    assert again.body["alerts"][0]["labels"]["alertname"] == "Watchdog"


@pytest.fixture
def outside(house: House) -> Iterator[FarEnd]:
    """Somebody who hears of a watch that runs beside the site."""
    folder = house.site.folder / "watch"
    folder.mkdir(exist_ok=True)
    with far_end() as hears:
        (folder / "alerts.toml").write_text('[[alerts]]\nname = "slack"\nkind = "slack"\n')
        secrets = folder / "secrets.env"
        secrets.write_text(f"METACHAT_ALERT_SLACK={hears.address}/services/T/B/hush\n")
        secrets.chmod(0o600)
        house.site.run("watch")
        yield hears
        house.site.kill("watch")


@pytest.mark.parametrize("dead", ["alertmanager", "prometheus"])
async def test_who_would_tell_is_dead(house: House, outside: FarEnd, dead: str) -> None:
    """The watch tells people, and the dead-man's switch hears nothing more."""
    site, ledger = house.site, house.site.folder / "watch" / "watch.jsonl"
    await asyncio.to_thread(site.await_, lambda: ledger.exists() and "last heard 0 s" in ledger.read_text())
    site.kill(dead)
    began = time.time()
    try:
        # Alertmanager goes on for four intervals of Prometheus before it takes its alerts for over.
        told = await asyncio.to_thread(outside.await_, lambda one: "Alertmanager is dead" in one.text, 60)
        assert f"{BASE}/Watchdog.md" in told.text
        silent = re.search(r"last heard (\d+) s ago", told.text)
        assert silent is not None
        assert SILENT <= int(silent[1]) <= SILENT + 4, "its interval, and two looks"
        count = len(site.people.beats.received)
        await asyncio.sleep(PACE.heartbeat * 2)
        assert len(site.people.beats.received) == count, "silence is what the dead-man's switch hears"
    finally:
        site.run(dead)
    await asyncio.to_thread(outside.await_, lambda one: "[RESOLVED]" in one.text, 60)
    site.deaths[dead] = told.at - began
