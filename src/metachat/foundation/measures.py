"""Measurements that every process of the platform has, in the form that Prometheus reads."""

import time
from functools import partial

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from typing_extensions import override

from metachat.foundation.db import Database

_STATES = ("lent", "idle", "waiting", "most")


class OwnProcess(ProcessCollector):
    """What this process uses (memory, processor, files), also where /proc shows it nothing but processes."""

    @override
    def _boot_time(self) -> float:
        # Otherwise read from /proc/stat, which a confined service does not see: it would then tell nothing.
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def show_pool(registry: CollectorRegistry, database: Database) -> None:
    """Show how a process's connections to the database are used."""
    pool = Gauge(
        "metachat_database_pool", "Connections of this process: lent, idle, waited for, and the most.",
        ["state"], registry=registry,
    )  # fmt: skip
    for state in _STATES:
        pool.labels(state).set_function(partial(_used, database, state))


def _used(database: Database, state: str) -> float:
    return database.use[state]
