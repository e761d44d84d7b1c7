"""What a hand changes on a server is found, named and undone, additions included."""

import json
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest
from tests.servers.sites import Live

STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH4Yt3DQZb7qfZHCnkwcVdTZQmGYkZxRv0XLDkqGmNEl eve"

# Takes a header out of the proxy's running configuration; its file stays as it is.
WITHOUT_HSTS = """
import http.client, json, re, socket
path = re.search(r"admin unix/(\\S+)", open("/etc/caddy/Caddyfile").read()).group(1)
def call(method, path_of_it, body=None):
    caddy = http.client.HTTPConnection("localhost")
    caddy.sock = socket.socket(socket.AF_UNIX)
    caddy.sock.connect(path)
    caddy.request(method, path_of_it, body, {"Host": "127.0.0.1", "Content-Type": "application/json"})
    answer = caddy.getresponse()
    return answer.status, answer.read()
def without(part):
    if isinstance(part, dict):
        return {k: without(v) for k, v in part.items() if k != "Strict-Transport-Security"}
    return [without(one) for one in part] if isinstance(part, list) else part
status, body = call("POST", "/load", json.dumps(without(json.loads(call("GET", "/config/")[1]))))
assert status == 200, body
"""


@dataclass(frozen=True)
class Hand:
    """Something done by hand: the command, and how its difference is called."""

    command: str
    what: str
    where: str


# Each by itself would be enough; together they show that one does not hide another.
HANDS = (
    Hand("sed -i s/^MemoryMax=.*/MemoryMax=4G/ '/etc/systemd/system/metachat-api@.service';"
         " systemctl daemon-reload", "file", "/etc/systemd/system/metachat-api@.service"),
    Hand("mkdir -p '/etc/systemd/system/metachat-worker@.service.d';"
         " printf '[Service]\\nNoNewPrivileges=no\\n'"
         " > '/etc/systemd/system/metachat-worker@.service.d/override.conf'; systemctl daemon-reload",
         "file", "/etc/systemd/system/metachat-worker@.service.d/override.conf"),
    Hand("nft add rule inet filter input tcp dport 8080 accept",
         "firewall rule", "tcp dport 8080 accept"),
    Hand(f"useradd -m -s /bin/bash -G sudo eve; install -d -o eve -m 700 /home/eve/.ssh;"
         f" echo '{STRANGER}' > /home/eve/.ssh/authorized_keys; echo mine > /home/eve/work", "user", "eve"),
    Hand("true", "group member", "sudo: eve"),
    Hand("true", "authorised key", "eve: SHA256:"),
    Hand("DEBIAN_FRONTEND=noninteractive apt-get purge -y -q fail2ban >/dev/null", "package", "fail2ban"),
    Hand("runuser -u postgres -- psql -qc \"ALTER SYSTEM SET work_mem = '64MB'\""
         " -c 'SELECT pg_reload_conf()'",
         "Postgres setting", "work_mem"),
    Hand("runuser -u postgres -- psql -qc 'ALTER ROLE metachat_app BYPASSRLS'", "Postgres role",
         "metachat_app"),
    Hand("echo 'eve ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/99-eve; chmod 440 /etc/sudoers.d/99-eve",
         "file", "/etc/sudoers.d/99-eve"),
    Hand("printf '[Timer]\\nOnCalendar=hourly\\n[Install]\\nWantedBy=timers.target\\n'"
         " > /etc/systemd/system/nightly.timer;"
         " printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/nightly.service;"
         " systemctl daemon-reload; systemctl -q enable --now nightly.timer", "timer", "nightly.timer"),
    Hand("echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-open.conf; systemctl reload ssh",
         "file", "/etc/ssh/sshd_config.d/00-open.conf"),
    Hand("sed -i s/a/b/ /opt/metachat/current/metachat/cli/worker.py", "release file", "cli/worker.py"),
)  # fmt: skip


def differences(live: Live, exit_code: int) -> list[dict[str, Any]]:
    """What `metachat drift` finds."""
    ran = live.operator.metachat("drift", "--key", str(live.operator.key), "--json")
    assert ran.returncode == exit_code, f"{ran.stderr}\n{ran.stdout}"
    told = json.loads(ran.stdout)
    (server,) = told["servers"]
    assert told["findings"] == len(server["findings"])
    return server["findings"]


def test_a_server_just_provisioned_has_no_differences(live: Live) -> None:
    assert differences(live, 0) == []


@pytest.fixture(scope="module")
def disturbed(live: Live) -> Live:
    """The site's server, after somebody has been at it by hand."""
    live.guest.ssh("sudo python3 -", user="operator", stdin=WITHOUT_HSTS)
    for hand in HANDS:
        live.guest.ssh("sudo bash -s", user="operator", stdin=hand.command)
    return live


def test_every_hand_is_found_and_named(disturbed: Live) -> None:
    found = differences(disturbed, 1)
    for hand in HANDS:
        named = [one for one in found if one["what"] == hand.what and hand.where in one["where"]]
        assert named, f"{hand} is not in {textwrap.indent(json.dumps(found, indent=1), '  ')}"
        assert all(one["fix"] for one in named)
    hsts = [one for one in found if "Strict-Transport-Security" in one["where"]]
    assert [one["what"] for one in hsts] == ["proxy setting"]
    assert all(one["expected"] and not one["found"] for one in hsts)


def test_the_server_notices_by_itself(disturbed: Live) -> None:
    disturbed.root("systemctl start metachat-drift.service")
    told = json.loads(disturbed.root("cat /var/lib/metachat/drift-status.json"))
    assert told["ok"], told
    assert told["count"] >= len(HANDS)
    assert any("Strict-Transport-Security" in one for one in told["servers"]["alpha"]["told"])


def test_provisioning_undoes_every_hand_and_loses_nothing(disturbed: Live) -> None:
    assert disturbed.operator.provisions().returncode == 0
    assert differences(disturbed, 0) == []
    assert "strict-transport-security" in disturbed.request("GET", "/health/ready")[1]
    assert "8080" not in disturbed.root("nft list ruleset")
    assert disturbed.root("cat /home/eve/work").strip() == "mine"
    assert disturbed.root("getent passwd eve").strip().endswith("/usr/sbin/nologin")
    assert "NOPASSWD" in disturbed.root("cat /var/backups/metachat-strays/*/etc/sudoers.d/99-eve")


def test_a_second_run_after_that_changes_nothing(disturbed: Live) -> None:
    assert "0 changes" in disturbed.operator.provisions().stdout


def test_what_is_accepted_is_background_from_then_on(live: Live) -> None:
    live.root("echo 'Acquire::Retries \"3\";' > /etc/apt/apt.conf.d/99retries")
    name = "file /etc/apt/apt.conf.d/99retries"
    assert [f"{one['what']} {one['where']}" for one in differences(live, 1)] == [name]
    accepted = live.operator.metachat("drift", "--key", str(live.operator.key), "--accept", name)
    assert accepted.returncode == 0, accepted.stderr
    assert differences(live, 0) == []
    assert "0 changes" in live.operator.provisions().stdout
