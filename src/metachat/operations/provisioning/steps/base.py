"""The machine itself: packages, name, time, logs, kernel settings, patches."""

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import apt, server, systemd

from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

PACKAGES = (
    "ca-certificates", "python3-venv", "sudo", "nftables", "fail2ban", "python3-systemd",
    "unattended-upgrades", "systemd-timesyncd", "openssl", "procps",
)  # fmt: skip


def set_up(order: Order) -> None:
    """Bring the base system to its state."""
    apt.packages(name="base packages", packages=list(PACKAGES), update=True, cache_time=3600,
                 no_recommends=True)  # fmt: skip
    server.hostname(name="host name", hostname=order.server.name)
    _file("limits of the journal", "journald.conf", "/etc/systemd/journald.conf.d/metachat.conf", order)
    _file("kernel settings", "sysctl.conf", "/etc/sysctl.d/60-metachat.conf", order)
    _file("unattended upgrades", "apt-upgrades", "/etc/apt/apt.conf.d/52metachat", order)
    # A container takes its time from its host, and systemd keeps the service from starting there.
    systemd.service(
        name="time is kept", service="systemd-timesyncd", running=not _in_container(), enabled=True
    )


def _in_container() -> bool:
    return host.get_fact(Command, command="systemd-detect-virt --container || true") not in ("none", "")


def _file(name: str, template: str, path: str, order: Order) -> None:
    place(name, render(template, site=order.site, server=order.server), path)
