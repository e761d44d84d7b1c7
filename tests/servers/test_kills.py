"""Each service is killed while customers write: it comes back, and what was accepted is not lost."""

import itertools
import time

import pytest
from tests.servers.customers import Customers
from tests.servers.sites import DOMAIN, Live, Tell

SECONDS, BACK_WITHIN = 12, 10
# The site answers meanwhile where another process can: the other api process, or the queue's own patience.
SERVICES = {
    "metachat-api@01": True, "metachat-api@02": True, "metachat-worker@1": True, "caddy": False,
    "postgresql@17-main": False, "fail2ban": True,
}  # fmt: skip


# Watched on the server itself, so that the way there counts for nothing: its unit is active with another
# process, and the site answers.
KILL = """
before=$(systemctl show -p MainPID --value {service})
began=$(date +%s%N)
kill -9 $before
until now=$(systemctl show -p MainPID --value {service}) && [ $now != 0 ] && [ $now != $before ] &&
    systemctl -q is-active {service} &&
    curl -fsk -m 2 -o /dev/null --resolve {domain}:443:127.0.0.1 https://{domain}/health/ready; do
    [ $(($(date +%s%N) - began)) -lt 60000000000 ] || exit 1
    sleep 0.1
done
echo $(($(date +%s%N) - began))e-9
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back(
    live: Live, visitors: list[dict[str, str]], service: str, tell: Tell
) -> None:
    customers = Customers(live, visitors)
    with customers.writing():
        time.sleep(2)
        killed = time.monotonic()
        back = float(live.root(KILL.format(service=service, domain=DOMAIN)))
        time.sleep(max(0.0, killed + SECONDS - 2 - time.monotonic()))
    gap = _longest_gap(customers, killed)
    tell(
        f"{service}: back after {back:.1f} s; {len(customers.accepted)} accepted,"
        f" {len(customers.refused)} refused, longest silence {gap:.1f} s"
    )
    assert back <= BACK_WITHIN
    assert gap <= BACK_WITHIN
    if SERVICES[service]:
        # Those in the hands of the process that died may hear of it, and nobody else.
        assert len(customers.refused) <= 3, customers.refused
    assert customers.lost() == []


def _longest_gap(customers: Customers, killed: float) -> float:
    times = [killed, *sorted(at for at in customers.ok_at if at > killed)]
    assert len(times) > 1, "nothing was accepted after the kill"
    return max(later - earlier for earlier, later in itertools.pairwise(times))
