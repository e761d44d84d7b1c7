"""Every rule, declared once: Prometheus's file, its unit tests and the runbooks follow this table."""

import json
from dataclasses import asdict, dataclass, field
from string import Template
from typing import Any, Literal

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a rule speaks; `window`, `trend` and the ages in seconds."""

    window: int = 60
    error_ratio: float = 0.05
    latency: float = 2.0
    queue_age: float = 60
    failed_deliveries: float = 3
    cpu: float = 0.9
    memory: float = 0.08
    disk_share: float = 0.05
    trend: int = 6 * 3600
    disk_days: float = 4
    connections: float = 0.9
    backup_age: float = 26 * 3600
    drill_age: float = 35 * DAY
    canary_age: float = 120
    archive_files: float = 10
    certificate_days: float = 14
    refused_sign_ins: float = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, and what is waited for; seconds. hold is a factor on every rule's own time."""

    scrape: int = 10
    evaluate: int = 10
    group_wait: int = 5
    group_interval: int = 30
    repeat: int = 4 * 3600
    heartbeat: int = 60
    hold: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `hold` is how long it must be true, `explained_by` names the rules that make it needless.

    `lag` is what passes before the measurement itself tells, in the worst case and in seconds. A rule that
    lingers goes on for a while after its end: what follows from it is still seen then, and is not told.
    """

    name: str
    expr: str
    hold: int
    severity: Literal["page", "ticket", "none"]
    summary: str
    explained_by: tuple[str, ...] = field(default=())
    lag: int = 0
    lingers: bool = False

    def expression(self, limits: Limits) -> str:
        """PromQL, with the limits filled in."""
        return Template(self.expr).substitute(asdict(limits))


_OUTAGES = ("DatabaseUnreachable", "ServiceDown")
_ANSWERS = 'metachat_http_requests_total{route!~"/health/.*|/metrics"}'
_ERRORS = 'metachat_http_requests_total{route!~"/health/.*|/metrics",status=~"5.."}'
_FREE = "node_filesystem_avail_bytes / node_filesystem_size_bytes"
_AGE = 'time() - max(metachat_operation_ok_timestamp_seconds{operation="%s"})'
_FAILED = 'min(metachat_operation_ok{operation="%s"}) == 0'
# The database's figures are counted anew every ten seconds at most.
_COUNTED = 10

RULES = (
    Rule("Watchdog", "vector(1)", 0, "none", "A sign of life: its absence is the alert."),
    Rule(
        "ServiceDown", "up == 0", 20, "page", "{{ $labels.job }} on {{ $labels.instance }} does not answer.",
        lingers=True,
    ),
    Rule(
        "HttpErrors",
        f"sum(rate({_ERRORS}[${{window}}s])) / sum(rate({_ANSWERS}[${{window}}s])) > $error_ratio",
        30, "page", "{{ $value | humanizePercentage }} of all answers are errors of ours.",
        _OUTAGES, lag=60,
    ),
    Rule(
        "SlowAnswers",
        "histogram_quantile(0.95, sum by (le) (rate(metachat_http_request_seconds_bucket"
        '{route!~"/health/.*|/metrics|.*/events"}[${window}s]))) > $latency',
        30, "ticket", "One answer in twenty takes longer than {{ $value | humanizeDuration }}.",
        _OUTAGES, lag=60,
    ),
    Rule(
        "QueueOld", "max by (kind) (metachat_queue_oldest_seconds) > $queue_age", 10, "page",
        "A job {{ $labels.kind }} has been waiting for {{ $value | humanizeDuration }}.", _OUTAGES,
        lag=60 + _COUNTED,
    ),
    Rule(
        "DeliveriesFailing",
        'sum(increase(metachat_deliveries_total{outcome=~"failed|put_off"}[${window}s])) > $failed_deliveries'
        ' and sum(increase(metachat_deliveries_total{outcome=~"failed|put_off"}[${window}s]))'
        ' > sum(increase(metachat_deliveries_total{outcome="taken"}[${window}s]))',
        10, "page", "Most messages to customers' channels fail.", _OUTAGES, lag=60,
    ),
    Rule(
        "CpuBusy",
        # Work of low priority, as a drill's, makes way for any other: it harms nobody.
        '1 - sum by (instance) (rate(node_cpu_seconds_total{mode=~"idle|iowait|nice"}[${window}s]))'
        ' / count by (instance) (node_cpu_seconds_total{mode="idle"}) > $cpu',
        30, "ticket", "The processors of {{ $labels.instance }} are {{ $value | humanizePercentage }} busy.",
        lag=60,
    ),
    Rule(
        "MemoryLow", "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < $memory", 30, "page",
        "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its memory left.",
    ),
    Rule(
        "DiskFilling",
        f"{_FREE} < $disk_share or ({_FREE} < 0.4 and"
        " predict_linear(node_filesystem_avail_bytes[${trend}s], $disk_days * 86400) < 0"
        # Minutes foretell nothing: there must be as much behind us as the trend is drawn from.
        " and node_filesystem_avail_bytes offset ${trend}s >= 0)",
        30, "page", "{{ $labels.mountpoint }} of {{ $labels.instance }} is full, or will be in a few days.",
    ),
    Rule(
        "DatabaseUnreachable", "min(metachat_database_up) == 0", 5, "page",
        "The database does not answer.", lag=4, lingers=True,
    ),
    Rule(
        "DatabaseConnections",
        "max(metachat_database_connections) / max(metachat_database_connections_most) > $connections",
        20, "page", "{{ $value | humanizePercentage }} of the database's connections are in use.",
        ("DatabaseUnreachable",), lag=_COUNTED,
    ),
    Rule(
        "BackupMissing", 'absent(metachat_operation_ok_timestamp_seconds{operation="backup"})',
        60, "ticket",
        "There has never been a backup, or nobody tells of it.", ("ServiceDown",),
    ),
    Rule(
        "BackupLate", f"{_AGE % 'backup'} > $backup_age", 0, "page",
        "The last good backup is {{ $value | humanizeDuration }} old.",
    ),
    Rule("BackupFailed", _FAILED % "backup", 0, "page", "The last backup failed."),
    Rule(
        "DrillLate", f"{_AGE % 'drill'} > $drill_age", 0, "ticket",
        "The last good trial of a restore is {{ $value | humanizeDuration }} old.",
    ),
    Rule("DrillFailed", _FAILED % "drill", 0, "page", "The last trial of a restore failed."),
    Rule(
        "CanaryOld", f"{_AGE % 'canary'} > $canary_age", 0, "page",
        "What was written {{ $value | humanizeDuration }} ago has not reached the archive.",
    ),
    Rule(
        "ArchiveBehind",
        'max(metachat_operation_count{operation="archive"}) > $archive_files or ' + _FAILED % "archive",
        0, "page", "The archive of the database's log falls behind; the disk fills.",
        # The next segment is due within half a minute, and a store that is ill is asked for a minute.
        lag=90,
    ),
    Rule(
        "CertificateExpiring",
        "(metachat_certificate_expiry_timestamp_seconds - time()) / 86400 < $certificate_days", 0, "ticket",
        "The certificate that is served is good for {{ $value | humanize }} more days.", lag=60,
    ),
    Rule(
        "Drift", 'max(metachat_operation_count{operation="drift"}) > 0', 0, "ticket",
        "A server differs from its site file in {{ $value }} places.",
    ),
    Rule(
        "SignInAttack",
        'sum(increase(metachat_http_requests_total{method="POST",route=~"/sign-in|/api/v1/session",'
        'status=~"401|429"}[${window}s])) > $refused_sign_ins',
        0, "page", "{{ $value | humanize }} sign-ins were refused within a minute.", lag=60,
    ),
)  # fmt: skip


def named(name: str) -> Rule:
    """Find a rule."""
    return next(rule for rule in RULES if rule.name == name)


def runbook(rule: str, base: str = "") -> str:
    """The address of a rule's page; without a base, its place in the repository."""
    return f"{base.rstrip('/') if base else 'docs/runbooks'}/{rule}.md"


def detection(rule: Rule, pace: Pace) -> float:
    """Seconds from a fault that is complete at once to the message, at worst."""
    return rule.lag + pace.scrape + pace.evaluate + rule.hold * pace.hold + pace.group_wait


def render(limits: Limits = Limits(), pace: Pace = Pace(), base: str = "") -> str:
    """Prometheus's file of rules. JSON, which every reader of YAML reads."""
    rules = [_told(rule, limits, pace, base) for rule in RULES]
    return json.dumps({"groups": [{"name": "metachat", "rules": rules}]}, indent=2) + "\n"


def _told(rule: Rule, limits: Limits, pace: Pace, base: str) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expression(limits),
        "for": f"{round(rule.hold * pace.hold * 1000)}ms",
        **({"keep_firing_for": f"{limits.window + 15}s"} if rule.lingers else {}),
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary, "runbook_url": runbook(rule.name, base)},
    }
