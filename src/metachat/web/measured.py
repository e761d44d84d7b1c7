"""What the whole platform measures about itself, asked of the database when somebody looks."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from metachat.domain import assistant
from metachat.domain.channels import health
from metachat.foundation.connections import connections, reach
from metachat.foundation.db import Database, DatabaseAway
from metachat.foundation.queue import watching

# Several processes are scraped one after the other, each for all: no need to count anew each time.
_AGE = 10.0
# Well below the patience of whoever scrapes.
_PATIENCE_SECONDS = 4.0

# What waits between the providers and us, by the job that takes it on.
_LAGS = {"inbox": "metachat_inbox_lag_seconds", "deliver": "metachat_outbox_lag_seconds"}


class Measured:
    """The platform's gauges; every api process tells the same."""

    def __init__(self, age: float = _AGE) -> None:
        self._age = age
        self._known = (0.0, b"")

    async def text(self, database: Database) -> bytes:
        """Write them all down; no more than that it is away while the database is."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                if self._known[0] < time.monotonic():
                    self._known = (time.monotonic() + self._age, await _counted(database))
                else:  # whether it answers is never told from memory
                    await reach(database)
        except (DatabaseAway, TimeoutError):
            return generate_latest(_reached(CollectorRegistry(), 0))
        return self._known[1]


def _reached(registry: CollectorRegistry, up: int) -> CollectorRegistry:
    Gauge("metachat_database_up", "Whether the database answers.", registry=registry).set(up)
    return registry


async def _counted(database: Database) -> bytes:
    registry = _reached(CollectorRegistry(), 1)
    _show_queue(registry, await watching.depth(database))
    _show_findings(registry, Counter(one["kind"] for one in await health.findings_everywhere(database)))
    used = await connections(database)
    Gauge("metachat_database_connections", "Connections open now.", registry=registry).set(used.open)
    most = Gauge("metachat_database_connections_most", "Connections it takes.", registry=registry)
    most.set(used.most)
    await _show_models(registry, database)
    return generate_latest(registry)


def _show_queue(registry: CollectorRegistry, depth: list[watching.Depth]) -> None:
    waiting = Gauge("metachat_queue_jobs", "Jobs that wait.", ["kind"], registry=registry)
    oldest = Gauge("metachat_queue_oldest_seconds", "Age of the oldest due job.", ["kind"], registry=registry)
    dead = Gauge("metachat_queue_dead_jobs", "Jobs that were laid aside.", ["kind"], registry=registry)
    now, ages = datetime.now(UTC), dict.fromkeys(_LAGS, 0.0)
    for one in depth:
        age = (now - one.oldest).total_seconds() if one.oldest else 0.0
        waiting.labels(one.kind).set(one.waiting)
        oldest.labels(one.kind).set(age)
        dead.labels(one.kind).set(one.dead)
        ages[one.kind] = age
    for kind, name in _LAGS.items():
        Gauge(name, f"Since when the oldest job {kind} is due.", registry=registry).set(ages[kind])


def _show_findings(registry: CollectorRegistry, counts: Counter[str]) -> None:
    findings = Gauge("metachat_findings", "What somebody should look at.", ["kind"], registry=registry)
    findings.labels(health.SILENT).set(0)
    for kind, count in counts.items():
        findings.labels(kind).set(count)


async def _show_models(registry: CollectorRegistry, database: Database) -> None:
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
