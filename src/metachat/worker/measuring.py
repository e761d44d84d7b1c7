"""What a worker measures about itself and about the operations of its machine."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from metachat.foundation.counts import counted
from metachat.foundation.db import Database
from metachat.foundation.measures import OwnProcess, show_pool
from metachat.operations.monitoring import statuses
from metachat.operations.watching.certificates import served_until

_CERTIFICATE_EVERY = 60.0
_DELIVERIES = ("taken", "put_off", "failed")


class Ran(Protocol):
    """What the job loop counts."""

    @property
    def done(self) -> int:
        """Jobs that were done."""
        ...

    @property
    def failed(self) -> int:
        """Runs that failed."""
        ...


class Measuring:
    """The measurements of a worker, in a registry of its own."""

    def __init__(self, database: Database, loop: Ran, data: Path, public_url: str) -> None:
        self._registry = CollectorRegistry()
        self._public_url = public_url
        self._looked = 0.0
        self._until = Gauge(
            "metachat_certificate_expiry_timestamp_seconds", "Until when the served certificate is good.", [],
            registry=self._registry if public_url.startswith("https://") else None,
        )  # fmt: skip
        self._until.set(float("nan"))
        OwnProcess(registry=self._registry)
        show_pool(self._registry, database)
        self._registry.register(_Work(loop, data))

    async def text(self) -> bytes:
        """Write them all down."""
        await self._look_at_certificate()
        return generate_latest(self._registry)

    async def _look_at_certificate(self) -> None:
        if self._looked and time.monotonic() < self._looked + _CERTIFICATE_EVERY:
            return
        self._looked = time.monotonic()
        until = None
        with contextlib.suppress(OSError, ValueError):
            until = await asyncio.to_thread(served_until, self._public_url, 2.0)
        self._until.set(float("nan") if until is None else until)


class _Work(Collector):
    """Read at each scrape: what was done, and how the operations of this machine went."""

    def __init__(self, loop: Ran, data: Path) -> None:
        self._loop = loop
        self._data = data

    @override
    def collect(self) -> list[Metric]:
        runs = CounterMetricFamily("metachat_job_runs", "Runs of jobs.", labels=["outcome"])
        runs.add_metric(["done"], self._loop.done)
        runs.add_metric(["failed"], self._loop.failed)
        deliveries = CounterMetricFamily("metachat_deliveries", "Messages handed over.", labels=["outcome"])
        known = counted("deliveries")
        for outcome in _DELIVERIES:
            deliveries.add_metric([outcome], known.get(outcome, 0))
        repeated = CounterMetricFamily(
            "metachat_deliveries_repeated", "Messages sent again, since the outcome of a sending never came."
        )
        repeated.add_metric([], known.get("repeated", 0))
        return [runs, deliveries, repeated, *operations(self._data)]


def operations(data: Path) -> list[Metric]:
    """How the recurring operations went; nothing of one that never told."""
    ok = GaugeMetricFamily("metachat_operation_ok", "Whether the last run went well.", labels=["operation"])
    at = GaugeMetricFamily(
        "metachat_operation_ok_timestamp_seconds", "When it last went well.", labels=["operation"]
    )
    count = GaugeMetricFamily(
        "metachat_operation_count", "What the last run found waiting or amiss.", labels=["operation"]
    )
    for operation in statuses.OPERATIONS:
        status = statuses.read(data, operation)
        if status is None:
            continue
        ok.add_metric([operation], int(status.ok))
        if status.ok_at is not None:
            at.add_metric([operation], status.ok_at)
        if status.count is not None:
            count.add_metric([operation], status.count)
    return [ok, at, count]
