"""Every rule by Debian's promtool: silent while all is well, speaks in trouble, and is silent after it."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from metachat.operations.monitoring import alertmanager, prometheus, rules
from metachat.operations.monitoring.receivers.email import Post
from metachat.operations.site import Receiver
from tests.monitoring.tools import program

# Ten minutes of peace, of trouble, and of peace again, a sample every ten seconds.
PHASE = 60
DAY = 86_400
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


@dataclass(frozen=True)
class Story:
    """A rule's series in peace and in trouble; those in `counters` grow by so much at each sample."""

    well: dict[str, float | None]
    ill: dict[str, float | None]
    counters: frozenset[str] = field(default_factory=frozenset)


def gauge(series: str, well: float | None, ill: float | None) -> Story:
    return Story({series: well}, {series: ill})


def counted(well: dict[str, float | None], ill: dict[str, float | None]) -> Story:
    return Story(well, ill, frozenset(well))


def operation(kind: str, name: str) -> str:
    return f'metachat_operation_{kind}{{operation="{name}"}}'


OK, ERROR = (
    'metachat_http_requests_total{route="/x",status="200"}',
    'metachat_http_requests_total{route="/x",status="500"}',
)
FIVE = 'metachat_http_request_seconds_bucket{route="/x",le="5"}'
FAST, ALL = (f'metachat_http_request_seconds_bucket{{route="/x",le="{le}"}}' for le in ("0.5", "+Inf"))
TAKEN, FAILED = (f'metachat_deliveries_total{{outcome="{outcome}"}}' for outcome in ("taken", "failed"))
SIGN_IN = 'metachat_http_requests_total{method="POST",route="/sign-in",status="401"}'
FREE, SIZE = (f'node_filesystem_{what}_bytes{{mountpoint="/"}}' for what in ("avail", "size"))
CONNECTIONS = "metachat_database_connections"
IDLE = 'node_cpu_seconds_total{mode="idle",cpu="0"}'

STORIES = {
    "ServiceDown": gauge('up{job="metachat",instance="127.0.0.1:8101"}', 1, 0),
    "HttpErrors": counted({OK: 100, ERROR: 1}, {OK: 100, ERROR: 10}),
    "SlowAnswers": counted({FAST: 100, FIVE: 101, ALL: 101}, {FAST: 50, FIVE: 100, ALL: 100}),
    "QueueOld": gauge('metachat_queue_oldest_seconds{kind="turn"}', 30, 90),
    "DeliveriesFailing": counted({TAKEN: 5, FAILED: 1}, {TAKEN: 1, FAILED: 5}),
    "CpuBusy": counted({IDLE: 8}, {IDLE: 0.2}),
    "MemoryLow": Story(
        {"node_memory_MemAvailable_bytes": 50, "node_memory_MemTotal_bytes": 100},
        {"node_memory_MemAvailable_bytes": 5, "node_memory_MemTotal_bytes": 100},
    ),
    "DiskFilling": Story({FREE: 90, SIZE: 100}, {FREE: 4, SIZE: 100}),
    "DatabaseUnreachable": gauge("metachat_database_up", 1, 0),
    "DatabaseConnections": Story(
        {CONNECTIONS: 50, f"{CONNECTIONS}_most": 100}, {CONNECTIONS: 95, f"{CONNECTIONS}_most": 100}
    ),
    "BackupMissing": gauge(operation("ok_timestamp_seconds", "backup"), 0, None),
    "BackupLate": gauge(operation("ok_timestamp_seconds", "backup"), 0, -27 * 3600),
    "BackupFailed": gauge(operation("ok", "backup"), 1, 0),
    "DrillLate": gauge(operation("ok_timestamp_seconds", "drill"), 0, -36 * DAY),
    "DrillFailed": gauge(operation("ok", "drill"), 1, 0),
    "CanaryOld": gauge(operation("ok_timestamp_seconds", "canary"), 3600, -200),
    "ArchiveBehind": gauge(operation("count", "archive"), 2, 30),
    "CertificateExpiring": gauge("metachat_certificate_expiry_timestamp_seconds", 30 * DAY, 3 * DAY),
    "Drift": gauge(operation("count", "drift"), 0, 2),
    "SignInAttack": counted({SIGN_IN: 1}, {SIGN_IN: 10}),
}  # fmt: skip


def series(story: Story) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    for name in story.well:
        value = 0.0
        values: list[str] = []
        for told in (story.well[name], story.ill[name], story.well[name]):
            for _ in range(PHASE):
                value = value + (told or 0) if name in story.counters else (told or 0)
                values.append("_" if told is None else f"{value:g}")
        # A series that ends is gone at once only when that is said.
        written = re.sub(r"(?<!_) _", " stale", " ".join(values), count=1)
        made.append({"series": name, "values": written})
    return made


def expectation(rule: str, at: int, firing: int) -> dict[str, object]:
    expr = f'count(ALERTS{{alertname="{rule}",alertstate="firing"}}) or vector(0)'
    return {"expr": expr, "eval_time": f"{at}s", "exp_samples": [{"labels": "{}", "value": firing}]}


def run_promtool(
    folder: Path, tests: Sequence[Mapping[str, object]], evaluated: str = "10s"
) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(rules.render())
    told = {"rule_files": ["rules.yml"], "evaluation_interval": evaluated, "tests": tests}
    (folder / "test.yml").write_text(json.dumps(told))
    argv = [program("promtool"), "test", "rules", "test.yml"]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120)


def test_every_rule_has_a_story() -> None:
    assert {rule.name for rule in rules.RULES} == {*STORIES, "Watchdog"}


@pytest.mark.parametrize("rule", STORIES)
def test_a_rule_speaks_in_trouble_and_only_then(rule: str, tmp_path: Path) -> None:
    moments = [(590, 0), (1190, 1), (1790, 0)]
    checks = [expectation(rule, at, firing) for at, firing in moments]
    test = {"interval": "10s", "input_series": series(STORIES[rule]), "promql_expr_test": checks}
    done = run_promtool(tmp_path, [test])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_sign_of_life_is_always_there_and_a_wrong_expectation_fails(tmp_path: Path) -> None:
    good = {"interval": "10s", "promql_expr_test": [expectation("Watchdog", 60, 1)]}
    assert run_promtool(tmp_path, [good]).returncode == 0
    bad = {"interval": "10s", "promql_expr_test": [expectation("Watchdog", 60, 0)]}
    assert run_promtool(tmp_path, [bad]).returncode != 0


def test_a_disk_that_fills_in_days_is_told_before_it_is_full(tmp_path: Path) -> None:
    falling = {"series": FREE, "values": "39000-2x2400"}
    steady = {"series": FREE, "values": "39000x2400"}
    size = {"series": SIZE, "values": "100000x2400"}
    cases = [
        {
            "interval": "10s",
            "input_series": [free, size],
            "promql_expr_test": [expectation("DiskFilling", 23900, on)],
        }
        for free, on in ((falling, 1), (steady, 0))
    ]
    # All rules are evaluated each time, and this story lasts hours: each minute shows the same.
    done = run_promtool(tmp_path, cases, evaluated="1m")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_single_missed_scrape_wakes_nobody(tmp_path: Path) -> None:
    up = {"series": 'up{job="metachat"}', "values": "1x10 0 1x10"}
    checks = [expectation("ServiceDown", at, 0) for at in range(0, 200, 10)]
    done = run_promtool(tmp_path, [{"interval": "10s", "input_series": [up], "promql_expr_test": checks}])
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_rule_takes_longer_than_two_minutes() -> None:
    assert {rule.name: t for rule in rules.RULES if (t := rules.detection(rule, rules.Pace())) > 120} == {}


def test_every_rule_has_a_page_that_tells_what_to_do() -> None:
    for rule in rules.RULES:
        page = (Path(rules.runbook(rule.name, str(RUNBOOKS)))).read_text()
        assert page.startswith(f"# {rule.name}\n"), rule.name
        for part in ("## What it means", "## First look", "## What to do", "## How this is proven"):
            assert part in page, f"{rule.name} lacks {part}"
    assert {page.stem for page in RUNBOOKS.glob("*.md")} - {rule.name for rule in rules.RULES} == {"SiteDown"}


def test_debian_takes_the_configuration_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(rules.render())
    config = prometheus.render({"metachat": ["127.0.0.1:8101"]}, tmp_path / "rules.yml")
    (tmp_path / "prometheus.yml").write_text(config)
    argv = [program("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert "21 rules found" in done.stdout, done.stdout + done.stderr


RECEIVERS = [
    Receiver(name="chat", kind="slack"),
    Receiver(name="duty", kind="pagerduty"),
    Receiver(name="mail", kind="email", to="ops@example.com"),
]


def alertmanager_file(folder: Path, receivers: list[Receiver]) -> Path:
    beat = alertmanager.Heartbeat(address="http://127.0.0.1:9/ping")
    post = Post("mail.example.com", 587, "chat@example.com", "metachat")
    path = folder / "alertmanager.yml"
    path.write_text(alertmanager.render(receivers, folder, [beat], post=post))
    for name in ("chat", "duty", "smtp_password"):
        (folder / name).write_text("https://hooks.example.com/hush")
    return path


def route_of(path: Path, *labels: str) -> str:
    argv = [program("amtool"), "config", "routes", "test", f"--config.file={path}", *labels]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_whoever_sleeps_is_woken_for_pages_only(tmp_path: Path) -> None:
    path = alertmanager_file(tmp_path, RECEIVERS)
    checked = subprocess.run(
        [program("amtool"), "check-config", str(path)], capture_output=True, text=True, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "hush" not in path.read_text()
    assert route_of(path, "alertname=ServiceDown", "severity=page") == "page"
    assert route_of(path, "alertname=Drift", "severity=ticket") == "ticket"
    assert route_of(path, "alertname=Watchdog", "severity=none") == "heartbeat"
    told = {one["name"]: one for one in json.loads(path.read_text())["receivers"]}
    assert "pagerduty_configs" in told["page"]
    assert "pagerduty_configs" not in told["ticket"]


def test_where_only_pagerduty_is_it_hears_of_everything(tmp_path: Path) -> None:
    path = alertmanager_file(tmp_path, RECEIVERS[1:2])
    told = {one["name"]: one for one in json.loads(path.read_text())["receivers"]}
    assert "pagerduty_configs" in told["ticket"]


def test_what_an_outage_explains_is_held_back() -> None:
    held = json.loads(alertmanager.render([], Path("/nowhere")))["inhibit_rules"]
    by = {one["source_matchers"][0]: one["target_matchers"][0] for one in held}
    assert "HttpErrors" in by['alertname="DatabaseUnreachable"']
    assert "QueueOld" in by['alertname="ServiceDown"']
    assert not any("DatabaseUnreachable" in target for target in by.values())
