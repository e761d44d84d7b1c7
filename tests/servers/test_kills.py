"""Each service is killed while customers write: it comes back, and what was accepted is not lost."""

import contextlib
import itertools
import time

import pytest
from tests.servers.customers import Customers
from tests.servers.sites import Live

SECONDS, BACK_WITHIN = 12, 10
# The site answers meanwhile where another process can: the other api process, or the queue's own patience.
SERVICES = {
    "metachat-api@01": True, "metachat-api@02": True, "metachat-worker@1": True, "caddy": False,
    "postgresql@17-main": False, "fail2ban": True,
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back(
    live: Live, visitors: list[dict[str, str]], service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    customers = Customers(live, visitors)
    with customers.writing():
        time.sleep(2)
        before = _process(live, service)
        killed = time.monotonic()
        live.root(f"kill -9 {before}")
        back = _back(live, service, before, killed)
        time.sleep(max(0.0, killed + SECONDS - 2 - time.monotonic()))
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
    assert customers.lost() == []


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
