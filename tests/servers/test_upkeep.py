"""What is done to a running site unnoticed by its customers: keys change, processes that grew restart."""

import json
import subprocess
import time

import pytest
from tests.servers.customers import Customers
from tests.servers.sites import Live, Tell

# A drop-in that lasts until the next boot: the same program in the same confinement, but for its threshold.
RELIEF = """
set -e
sed 's/-gt [0-9]*/-gt {threshold}/' /usr/local/lib/metachat/relieve > /run/relieve
chmod 755 /run/relieve
mkdir -p /run/systemd/system/metachat-relieve.service.d
printf '[Service]\\nExecStart=\\nExecStart=/run/relieve\\n' > \
    /run/systemd/system/metachat-relieve.service.d/small.conf
systemctl daemon-reload
"""
UNDO = "rm -r /run/relieve /run/systemd/system/metachat-relieve.service.d; systemctl daemon-reload"


def _rotation(live: Live, name: str) -> list[str]:
    return ["secrets", "rotate", name, "--site", "site.toml", "--key", str(live.operator.key)]


def _rotates(live: Live, name: str) -> str:
    deadline = time.monotonic() + 60
    while (ran := live.operator.metachat(*_rotation(live, name))).returncode == 75:
        assert time.monotonic() < deadline, ran.stderr  # the one before lets go when its connections end
    assert ran.returncode == 0, f"{ran.stderr}\n{ran.stdout}"
    return ran.stdout


def _dies_rotating(live: Live, name: str) -> None:
    """The operator's machine dies when the first process has the new key, and no other."""
    operator = live.operator
    rotating = subprocess.Popen(
        operator.argv(*_rotation(live, name)), cwd=operator.folder, env=operator.environment(),
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert rotating.stderr is not None
    restarts = 0
    for line in rotating.stderr:
        restarts += "is restarted" in line
        if restarts == 2:
            break
    rotating.kill()
    rotating.wait()
    assert restarts == 2


def _processes(live: Live) -> dict[str, str]:
    units = ("metachat-api@01", "metachat-api@02", "metachat-worker@1")
    return {unit: live.root(f"systemctl show -p MainPID --value {unit}").strip() for unit in units}


@pytest.mark.parametrize("name", ["encryption_key", "database_url"])
def test_a_secret_is_rotated_while_customers_write(
    live: Live, visitors: list[dict[str, str]], name: str, tell: Tell
) -> None:
    before, old = _processes(live), live.root(f"cat /etc/metachat/credentials/{name}")
    customers, began = Customers(live, visitors), time.monotonic()
    with customers.writing():
        if name == "encryption_key":
            _dies_rotating(live, name)
        told = _rotates(live, name)
    killed = ", killed once" if name == "encryption_key" else ""
    tell(
        f"rotation of {name}{killed}: {time.monotonic() - began:.0f} s,"
        f" {len(customers.accepted)} messages accepted, {len(customers.refused)} refused"
    )
    assert customers.refused == []
    assert customers.lost() == []
    assert "is in use" in told
    changed = {unit for unit, process in _processes(live).items() if process != before[unit]}
    assert {"metachat-api@01", "metachat-api@02"} <= changed
    new = live.root(f"cat /etc/metachat/credentials/{name}")
    assert new not in (old, "")
    assert live.root(f"stat -c '%a %U' /etc/metachat/credentials/{name}").strip() == "600 root"
    # Neither on the way nor in what was written down on it.
    assert old.strip()[-20:] not in told


def test_after_rotations_store_and_server_agree(live: Live) -> None:
    ask = "select rolname from pg_roles where rolname like 'metachat_app%' and rolcanlogin"
    assert live.root(f'runuser -u postgres -- psql -Atc "{ask}"').split() == ["metachat_app_2"]
    ran = live.operator.metachat("drift", "--key", str(live.operator.key), "--json")
    assert ran.returncode == 0, ran.stdout
    assert "0 changes" in live.operator.provisions().stdout
    assert "45 days" in live.answer_to("How many days do I have to return a tent?")["text"]


def test_an_api_process_that_grew_is_drained_and_restarted(
    live: Live, visitors: list[dict[str, str]], tell: Tell
) -> None:
    before = _processes(live)
    live.root("systemctl start metachat-relieve.service")
    assert _processes(live) == before  # at their usual size they are left alone
    customers = Customers(live, visitors)
    try:
        live.root(RELIEF.format(threshold=10_000))
        with customers.writing():
            live.root("systemctl start metachat-relieve.service")
    finally:
        live.root(UNDO)
    after = _processes(live)
    told = live.root("journalctl -u metachat-relieve -o cat --since -5min")
    tell(
        f"relief: {len(customers.accepted)} messages accepted, {len(customers.refused)} refused;"
        " the limits themselves (MemoryHigh, MemoryMax) are not enforced in a container"
    )
    assert {unit for unit in before if after[unit] != before[unit]} == {"metachat-api@01", "metachat-api@02"}
    assert told.count("has grown to") == 2
    assert customers.refused == []
    assert customers.lost() == []


def test_the_limits_of_memory_are_set(live: Live) -> None:
    shown = live.root("systemctl show -p MemoryHigh,MemoryMax metachat-api@01")
    high, most = (int(line.partition("=")[2]) for line in sorted(shown.split()))
    threshold = int(live.root("sed -n 's/.*-gt \\([0-9]*\\).*/\\1/p' /usr/local/lib/metachat/relieve")) * 1024
    assert threshold < high < most
    rows = json.loads(live.root("systemctl list-timers metachat-relieve.timer -o json"))
    assert [row["unit"] for row in rows] == ["metachat-relieve.timer"]
