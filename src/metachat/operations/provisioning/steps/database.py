"""Postgres 17 with pgvector: on the loopback or private address only, tuned from the machine's memory."""

from pyinfra import host
from pyinfra.facts.hardware import Memory
from pyinfra.operations import apt, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

_SETTINGS = "/etc/postgresql/17/main/conf.d/metachat.conf"
_UNIT = "/etc/systemd/system/postgresql@.service.d/metachat.conf"


def set_up(order: Order) -> None:
    """Install, tune and start Postgres."""
    apt.packages(name="Postgres", packages=["postgresql-17", "postgresql-17-pgvector"], no_recommends=True)
    memory = int(host.get_fact(Memory) or 1024)
    settings = render("postgresql.conf", memory=memory, server=order.server)
    tuned = place("Postgres settings", settings, _SETTINGS)
    unit = place("Postgres comes back", render("postgresql.service.conf"), _UNIT)
    service = "postgresql@17-main"
    systemd.daemon_reload(name="Postgres's unit is read", _if=any_of(unit))
    systemd.service(name="Postgres is up", service=service, running=True, enabled=True)
    changed = any_of(tuned, unit)
    systemd.service(name="Postgres takes its settings", service=service, restarted=True, _if=changed)
