"""Each service is killed while customers write: it comes back, and what was accepted is not lost."""

import contextlib
import itertools
import threading
import time
from dataclasses import dataclass, field

import pytest
from tests.servers.sites import Live

PER_SECOND, SECONDS, BACK_WITHIN = 20, 12, 10
# The site answers meanwhile where another process can: the other api process, or the queue's own patience.
SERVICES = {
    "metachat-api@01": True, "metachat-api@02": True, "metachat-worker@1": True, "caddy": False,
    "postgresql@17-main": False, "fail2ban": True,
}  # fmt: skip


@dataclass
class Customers:
    """Many who write at once, at a steady pace, and what they were told."""

    live: Live
    visitors: list[dict[str, str]]
    accepted: list[tuple[int, str]] = field(default_factory=list)
    refused: list[tuple[float, str]] = field(default_factory=list)
    ok_at: list[float] = field(default_factory=list)

    def write(self, seconds: float) -> None:
        """Write for so long."""
        threads = [threading.Thread(target=self._one, args=(n, seconds)) for n in range(len(self.visitors))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=seconds + 60)

    def _one(self, number: int, seconds: float) -> None:
        pause, end, count = len(self.visitors) / PER_SECOND, time.monotonic() + seconds, 0
        time.sleep(pause * number / len(self.visitors))
        while time.monotonic() < end:
            began, text = time.monotonic(), f"hello {number}-{count}-{end}"
            try:
                status = self.live.says(self.visitors[number], text, timeout=10)
            except OSError as error:
                self.refused.append((time.monotonic(), type(error).__name__))
            else:
                if status == 202:
                    self.accepted.append((number, text))
                    self.ok_at.append(time.monotonic())
                else:
                    self.refused.append((time.monotonic(), str(status)))
            count += 1
            time.sleep(max(0.0, pause - (time.monotonic() - began)))


@pytest.fixture(scope="module")
def visitors(live: Live) -> list[dict[str, str]]:
    """Customers whose conversations a person took over: nobody answers, so that pace is all."""
    made = [live.begins_chat() for _ in range(PER_SECOND)]
    for visitor in made:
        assert live.request("POST", f"/chat/{live.channel}/hand-off", {}, visitor)[0] == 200
    return made


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back(
    live: Live, visitors: list[dict[str, str]], service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    customers = Customers(live, visitors)
    writing = threading.Thread(target=customers.write, args=(SECONDS,))
    writing.start()
    time.sleep(2)
    before = _process(live, service)
    killed = time.monotonic()
    live.root(f"kill -9 {before}")
    back = _back(live, service, before, killed)
    writing.join(timeout=SECONDS + 90)
    gap = _longest_gap(customers, killed)
    with capsys.disabled():
        print(
            f"\n{service}: back after {back:.1f} s; {len(customers.accepted)} accepted,"
            f" {len(customers.refused)} refused, longest silence {gap:.1f} s"
        )
    assert back <= BACK_WITHIN
    assert gap <= BACK_WITHIN
    if SERVICES[service]:
        # Those in the hands of the process that died may hear of it, and nobody else.
        assert len(customers.refused) <= 3, customers.refused
    kept = [{one["text"] for one in live.transcript(visitor)} for visitor in visitors]
    assert [text for number, text in customers.accepted if text not in kept[number]] == []


def _process(live: Live, service: str) -> str:
    return live.root(f"systemctl show -p MainPID --value {service}").strip()


def _back(live: Live, service: str, before: str, killed: float) -> float:
    while time.monotonic() - killed < 60:
        now = _process(live, service)
        active = live.root(f"systemctl is-active {service} || true").strip() == "active"
        with contextlib.suppress(OSError):
            if active and now not in ("0", before) and live.request("GET", "/health/ready")[0] == 200:
                return time.monotonic() - killed
        time.sleep(0.2)
    raise AssertionError(f"{service} did not come back")


def _longest_gap(customers: Customers, killed: float) -> float:
    times = [killed, *sorted(at for at in customers.ok_at if at > killed)]
    assert len(times) > 1, "nothing was accepted after the kill"
    return max(later - earlier for earlier, later in itertools.pairwise(times))
