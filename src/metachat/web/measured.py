"""What the whole platform measures about itself, asked of the database when somebody looks."""

import time
from collections import Counter
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from metachat.domain import assistant
from metachat.domain.channels import health
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.queue import watching

# Several processes are scraped one after the other, each for all: no need to count anew each time.
_AGE = 10.0


class Measured:
    """The platform's gauges; every api process tells the same."""

    def __init__(self) -> None:
        self._known = (0.0, b"")

    async def text(self, database: Database) -> bytes:
        """Write them all down; nothing while the database is away."""
        if self._known[0] < time.monotonic():
            try:
                self._known = (time.monotonic() + _AGE, await _counted(database))
            except DatabaseAway:
                return b""
        return self._known[1]


async def _counted(database: Database) -> bytes:
    registry, now = CollectorRegistry(), datetime.now(UTC)
    waiting = Gauge("metachat_queue_jobs", "Jobs that wait.", ["kind"], registry=registry)
    oldest = Gauge("metachat_queue_oldest_seconds", "Age of the oldest due job.", ["kind"], registry=registry)
    dead = Gauge("metachat_queue_dead_jobs", "Jobs that were laid aside.", ["kind"], registry=registry)
    for one in await watching.depth(database):
        waiting.labels(one.kind).set(one.waiting)
        oldest.labels(one.kind).set((now - one.oldest).total_seconds() if one.oldest else 0)
        dead.labels(one.kind).set(one.dead)
    findings = Gauge("metachat_findings", "What somebody should look at.", ["kind"], registry=registry)
    findings.labels(health.SILENT).set(0)
    for kind, count in Counter(one["kind"] for one in await health.findings_everywhere(database)).items():
        findings.labels(kind).set(count)
    failures = Gauge(
        "metachat_model_failures", "Failures of tenants' models so far.", ["provider"], registry=registry
    )
    resting = Gauge(
        "metachat_models_resting", "Models left alone now, for they kept failing.", ["provider"],
        registry=registry,
    )  # fmt: skip
    for total in await assistant.health_totals(database):
        failures.labels(total.provider).set(total.failures)
        resting.labels(total.provider).set(total.resting)
    return generate_latest(registry)
