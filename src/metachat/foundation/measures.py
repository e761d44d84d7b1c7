"""Measurements that every process of the platform has, in the form that Prometheus reads."""

from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from metachat.foundation.db import Database

_STATES = ("lent", "idle", "waiting", "most")


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
