"""A server with the role monitor, as provisioned: what fails reaches people, and so does its end."""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.monitoring.far_end import FarEnd, Received, far_end
from tests.monitoring.tls import certificate, context
from tests.servers import guests
from tests.servers.sites import DOMAIN, Live, Operator, Tell

# Fleets of other tests have the lanes before it.
LANE = 2
RUNBOOKS = "https://wiki.acme.test/runbooks"
OWN, DEPENDED_ON = 2.0, 5.0
SERVICES = ("prometheus", "prometheus-alertmanager", "prometheus-node-exporter")

SITE = """
[monitor]
runbooks = "{runbooks}"
heartbeat = "alert_heartbeat"

[[alerts]]
name = "chat"
kind = "slack"

[[alerts]]
name = "duty"
kind = "pagerduty"
endpoint = "{duty}/v2/enqueue"
"""


@dataclass
class Watched:
    """The site, its monitor, and the people who hear."""

    live: Live
    slack: FarEnd
    duty: FarEnd
    beats: FarEnd

    def hears(self, alert: str, state: str, since: float, within: float) -> Received:
        """Wait for a message on Slack, from Alertmanager or from the watch."""
        return self.slack.await_(
            lambda one: (
                one.at > since and alert in one.text and ("RESOLVED" in one.text) == (state == "resolved")
            ),
            within,
        )

    def asked(self, query: str) -> list[dict[str, object]]:
        """What Prometheus answers on the server."""
        told = self.live.root(
            f'curl -s -G --data-urlencode "query={query}" http://127.0.0.1:9090/api/v1/query'
        )
        found: list[dict[str, object]] = json.loads(told)["data"]["result"]
        return found


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    folder = Path(tempfile.mkdtemp(prefix=guests.folder_prefix(LANE), dir="/var/lib"))
    try:
        with guests.fleet(folder, lane=LANE) as fleet, ExitStack() as stack:
            host = f"{fleet.network}.1"
            pem = certificate(30, host)
            slack, duty, beats = (stack.enter_context(far_end(host, context(pem))) for _ in range(3))
            guest = fleet.boot("watched")
            # The authority of the far ends, and the way to the site's name, are what a real server has.
            bundle = "/usr/local/share/ca-certificates/far-ends.crt"
            authority = pem[pem.index(b"-----BEGIN CERTIFICATE") :].decode()
            guest.ssh(f"cat > {bundle} && update-ca-certificates", stdin=authority)
            guest.ssh(f"echo 127.0.0.1 {DOMAIN} >> /etc/hosts")
            home = folder / "operator"
            home.mkdir()
            operator = Operator(home, fleet.key)
            operator.writes_site(guest.address, "watched")
            seconds = provisioned(operator, slack, duty, beats)
            live = Live(guest, operator, seconds, folder / "authority.crt")
            live.authority.write_text(live.root("cat /var/lib/caddy/pki/authorities/local/root.crt"))
            yield Watched(live, slack, duty, beats)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def provisioned(operator: Operator, slack: FarEnd, duty: FarEnd, beats: FarEnd) -> float:
    """Add the monitor to the site file, be refused without its secrets, and provision."""
    file = operator.folder / "site.toml"
    told = file.read_text().replace('"app", "worker", "database"]', '"app", "worker", "database", "monitor"]')
    deaf = told.replace("[tls]", "[monitor]\n[tls]")
    file.write_text(deaf)
    unheard = operator.metachat("provision", "--plan", "--key", str(operator.key))
    assert "nobody hears" in unheard.stderr, unheard.stderr
    file.write_text(told + SITE.format(runbooks=RUNBOOKS, duty=duty.address))
    refused = operator.provisions()
    assert refused.returncode != 0
    assert "alert_chat" in refused.stderr, refused.stderr
    values = {
        "alert_chat": f"{slack.address}/services/T/B/hush", "alert_duty": "routing-key",
        "alert_heartbeat": f"{beats.address}/ping",
    }  # fmt: skip
    for name, value in values.items():
        given = operator.folder / name
        given.write_text(value)
        kept = operator.metachat(
            "secrets", "set", name, "--from-file", str(given), METACHAT_SECRETS_STORE="age:secrets.age"
        )
        assert kept.returncode == 0, kept.stderr
        given.unlink()
    began = time.monotonic()
    ran = operator.provisions()
    assert ran.returncode == 0, f"{ran.stderr}\n{ran.stdout}"
    return time.monotonic() - began


def test_a_second_visit_changes_nothing_and_nothing_differs(watched: Watched) -> None:
    again = watched.live.operator.provisions()
    assert "0 changes" in again.stdout, again.stdout + again.stderr
    drift = watched.live.operator.metachat("drift", "--key", str(watched.live.operator.key))
    assert drift.returncode == 0, drift.stdout + drift.stderr


def test_a_prometheus_elsewhere_reads_every_process_with_the_token(watched: Watched) -> None:
    bearing = {"Authorization": f"Bearer {watched.live.operator.secret('metrics_token')}"}
    for path, figure in (("api/1", b"metachat_http_requests"), ("worker/1", b"metachat_job_runs")):
        assert watched.live.request("GET", f"/metrics/{path}")[0] == 401
        status, _, text = watched.live.request("GET", f"/metrics/{path}", None, bearing)
        assert (status, figure in text) == (200, True), (path, text[:500])
    assert watched.live.request("GET", "/metrics/worker/99", None, bearing)[0] == 404


def test_monitors_are_confined_and_answer_to_their_own_machine_only(watched: Watched, tell: Tell) -> None:
    found = {}
    for unit in (*SERVICES, "metachat-watch"):
        shown = watched.live.root(f"systemd-analyze security --no-pager {unit}.service | tail -2")
        found[unit] = float(re.findall(r"(\d+\.\d)", shown)[-1])
    tell(f"exposure: {found}")
    assert found.pop("metachat-watch") <= OWN
    assert max(found.values()) <= DEPENDED_ON, found
    listening = watched.live.root("ss -Hlnt | awk '{print $4}'").split()
    for port in (8201, 9090, 9093, 9099, 9100):
        assert [one for one in listening if one.endswith(f":{port}")] == [f"127.0.0.1:{port}"], listening
    assert "9094" not in " ".join(listening), "no cluster of Alertmanagers"
    secrets = watched.live.root("cat /etc/prometheus/metachat* /proc/*/cmdline 2>/dev/null | tr '\\0' ' '")
    assert "routing-key" not in secrets
    assert "hush" not in secrets


MEASURED = (
    "up == 1", "metachat_http_requests_total", "metachat_http_request_seconds_bucket",
    "metachat_http_streams", "metachat_inbox_lag_seconds", "metachat_outbox_lag_seconds",
    "metachat_deliveries_total", "metachat_deliveries_repeated_total",
    "metachat_database_pool", "metachat_database_up == 1", "metachat_database_connections",
    "process_resident_memory_bytes", "process_cpu_seconds_total",
    "metachat_certificate_expiry_timestamp_seconds > 0", "metachat_operation_ok{operation='drift'} == 1",
    "node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_filesystem_avail_bytes{mountpoint='/'}",
)  # fmt: skip


def test_what_the_rules_need_is_measured(watched: Watched) -> None:
    watched.live.root("systemctl start metachat-drift")
    deadline = time.monotonic() + 90
    while missing := [query for query in MEASURED if not watched.asked(query)]:
        assert time.monotonic() < deadline, missing
        time.sleep(3)
    assert len(watched.asked("up == 1")) == len(watched.asked("up"))


def test_a_dead_worker_reaches_people_and_so_does_its_return(watched: Watched, tell: Tell) -> None:
    began = time.time()
    watched.live.root("systemctl stop metachat-worker@1")
    try:
        fired = watched.hears("ServiceDown", "firing", began, 120)
        called = watched.duty.await_(
            lambda one: (
                one.at > began and one.body["event_action"] == "trigger" and "ServiceDown" in one.text
            ),
            10,
        )
    finally:
        ended = time.time()
        watched.live.root("systemctl start metachat-worker@1")
    for message in (fired, called):
        assert f"{RUNBOOKS}/ServiceDown.md" in message.text
    resolved = watched.hears("ServiceDown", "resolved", ended, 240)
    watched.duty.await_(
        lambda one: (
            one.body["event_action"] == "resolve" and one.body["dedup_key"] == called.body["dedup_key"]
        ),
        10,
    )
    tell(
        f"as provisioned: ServiceDown was received after {fired.at - began:.0f} s,"
        f" its end after {resolved.at - ended:.0f} s; provisioned in {watched.live.seconds:.0f} s"
    )


def test_the_sign_of_life_goes_out_and_is_heard_by_the_watch(watched: Watched) -> None:
    beat = watched.beats.await_(lambda one: True, 90)
    assert beat.path == "/ping"
    assert "Watchdog" in beat.text
    last = json.loads(watched.live.root("grep heartbeat /var/lib/metachat/watch.jsonl | tail -1"))
    assert last["found"]["heartbeat"]["ok"]


def test_a_site_that_is_away_is_told_by_the_watch(watched: Watched) -> None:
    found = json.loads(watched.live.root("grep found /var/lib/metachat/watch.jsonl | tail -1"))["found"]
    assert found["health"]["ok"], found
    assert found["certificate"], found
    began = time.time()
    watched.live.root("systemctl stop caddy")
    try:
        assert f"{RUNBOOKS}/SiteDown.md" in watched.hears("SiteDown", "firing", began, 90).text
    finally:
        ended = time.time()
        watched.live.root("systemctl start caddy")
    watched.hears("SiteDown", "resolved", ended, 90)
    told = watched.live.guest.ssh("metachat uptime --json", user="operator").stdout
    assert json.loads(told)["outages"], told
    assert json.loads(told)["broken"] is None


def test_the_command_line_sees_and_silences_what_is_on(watched: Watched) -> None:
    on = json.loads(watched.live.guest.ssh("metachat alerts list --json", user="operator").stdout)
    assert "BackupMissing" in {one["alert"] for one in on["firing"]}, "nobody has set up backups here"
    watched.live.guest.ssh("metachat alerts silence BackupMissing --for 1h", user="operator")
    on = json.loads(watched.live.guest.ssh("metachat alerts list --json", user="operator").stdout)
    assert [one["muted"] for one in on["firing"] if one["alert"] == "BackupMissing"] == [True]
