"""Whatever dies, every question that was acknowledged is answered, once, in order, without a hand."""

import itertools
import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest
from tests.counting.conftest import PATIENCE, Platform, wait_until_settled
from tests.counting.count import Count, count, name_of, names_in
from tests.local.conftest import until

from metachat.simulate import Seen

SEEDS = range(1, 1 + int(os.environ.get("METACHAT_SOAK", "2")))
RATE, SECONDS, PHONES = 100, 5, 40
_runs = itertools.count(1)

# Lets something happen; gives the name of the process that has to be there anew afterwards, "" for none.
Happens = Callable[[Platform], str]


def nothing(_platform: Platform) -> str:
    """What the others are compared with."""
    return ""


def worker_killed(platform: Platform) -> str:
    """Kill -9 of the worker."""
    return _killed(platform, "worker")


def api_killed(platform: Platform) -> str:
    """Kill -9 of an api process."""
    return _killed(platform, "api 1")


def postgres_killed(platform: Platform) -> str:
    """Kill -9 of Postgres: what comes back has to recover from its log."""
    return _killed(platform, "postgres")


def network_cut(platform: Platform) -> str:
    """For three seconds connections are refused, and webhooks go nowhere."""
    platform.meta.weather(offline=True)
    platform.meta.unplug(3)
    until(lambda: _is_back(platform), "the network is back")
    platform.meta.weather(offline=False)
    return ""


DEATHS = (worker_killed, api_killed, postgres_killed, network_cut)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("happens", "seed"), [(nothing, 1), *((death, seed) for death in DEATHS for seed in SEEDS)]
)
def test_every_question_is_answered_once_and_in_order(
    platform: Platform, happens: Happens, seed: int
) -> None:
    # One that is only just starting may have to start once more where Postgres dies.
    until(lambda: _age_of_youngest(platform) > 4, "all have started")
    meta, run = platform.meta, next(_runs)
    before = meta.state()["number"]
    meta.call("POST", "seed", {"seed": seed})
    meta.weather(duplicates=0.1, reorder=0.2, reorder_seconds=0.4)
    asking = f"run{run}-{{n}} asks about delivery times and prices."
    burst = meta.burst(RATE, RATE * SECONDS, PHONES, asking, first=10**11 * run)
    until(lambda: meta.state()["bursts"][burst]["sent"] >= RATE * SECONDS // 3, "a third is asked")
    restarts, moment = _restarts(platform), time.time()
    died = happens(platform)
    assert not died or meta.state()["bursts"][burst]["sent"] < RATE * SECONDS, "it died too late to matter"
    until(lambda: meta.is_over(burst), "all is asked", PATIENCE)
    settled = wait_until_settled(platform)
    asked, heard = meta.sent(before), meta.arrivals(before)
    found = count(asked, heard)
    print(f"\n{happens.__name__}, seed {seed}: {_told(found, asked, heard, moment, settled)}")
    # Whoever dies twice in a minute waits longer to be started again; all may be done without it by then.
    expected = restarts | ({died: restarts[died] + 1} if died else {})
    until(lambda: _restarts(platform)[died] > restarts[died] if died else True, f"{died} is started again")
    assert _restarts(platform) == expected
    assert found.asked == found.acknowledged == found.answered == RATE * SECONDS, found
    assert (found.lost, found.doubled, found.repeated, found.disordered) == ([], [], [], []), found
    # Where nothing broke there is nothing that could not be avoided.
    assert not found.unavoidable or happens is not nothing, found


def _killed(platform: Platform, name: str) -> str:
    os.kill(platform.pid_of(name), signal.SIGKILL)
    return name


def _restarts(platform: Platform) -> dict[str, int]:
    return {name: process.restarts for name, process in platform.processes().items()}


def _age_of_youngest(platform: Platform) -> float:
    pids = [process.pid for process in platform.processes().values()]
    if None in pids:
        return 0.0
    try:
        return time.time() - max(psutil.Process(pid).create_time() for pid in pids)
    except psutil.NoSuchProcess:
        return 0.0


def _is_back(platform: Platform) -> bool:
    try:
        return bool(platform.meta.state())
    except ConnectionError:
        return False


def _told(found: Count, asked: list[Seen], heard: list[Seen], moment: float, settled: float) -> str:
    later = {name_of(question) for question in asked if question.at > moment}
    first = min((reply.at for reply in heard if later & set(names_in(reply))), default=settled)
    last = max(question.at for question in asked)
    done = max(reply.at for reply in heard)
    return (
        f"{found.acknowledged} acknowledged, {found.answered} answered in {len(heard)} replies, lost"
        f" {len(found.lost)}, duplicate {len(found.doubled) + len(found.repeated)}, unavoidable"
        f" {len(found.unavoidable)}, out of order {len(found.disordered)}; first later answer after"
        f" {first - moment:.1f} s, the last one {done - last:.1f} s after the last question"
    )
