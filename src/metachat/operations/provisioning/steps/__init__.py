"""What is done on a server, in this order; each step knows its roles and changes only what differs."""

from collections.abc import Callable, Iterator

from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.steps import (
    access,
    application,
    backups,
    base,
    database,
    firewall,
    monitoring,
    proxy,
    watching,
)

Visit = Callable[[Order], None]


def every(order: Order) -> Iterator[Visit]:
    """The steps for a server, by its roles."""
    roles = set(order.server.roles)
    yield base.set_up
    yield access.set_up
    yield firewall.set_up
    if "database" in roles:
        yield database.set_up
    if roles & {"app", "worker"}:
        yield application.set_up
    if "database" in roles:
        yield backups.set_up
    if "proxy" in roles:
        yield proxy.set_up
    if roles & {"app", "worker"}:
        yield watching.set_up
    if "monitor" in roles:
        yield monitoring.set_up
