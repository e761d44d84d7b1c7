"""The server compares itself now and then, and tells when somebody changed it by hand."""

from pyinfra.operations import systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render


def set_up(order: Order) -> None:
    """Bring the timer of the comparison."""
    every = order.site.upkeep.drift_every
    placed = [
        place(unit, render(unit, every=every), f"/etc/systemd/system/{unit}")
        for unit in ("metachat-drift.service", "metachat-drift.timer")
    ]
    systemd.daemon_reload(name="units of the comparison are read", _if=any_of(*placed))
    systemd.service(name="comparison", service="metachat-drift.timer", running=True, enabled=True)
