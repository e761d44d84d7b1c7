"""Caddy: TLS, headers, limits, and the balance over the api processes."""

from pyinfra.operations import server, systemd

from metachat.operations.monitoring import ports
from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.steps.application import instances
from metachat.operations.provisioning.templates import render


def set_up(order: Order) -> None:
    """Bring the proxy and its configuration."""
    server.user(
        name="user of the proxy", user="caddy", system=True, home="/var/lib/caddy",
        shell="/usr/sbin/nologin", ensure_home=True,
    )  # fmt: skip
    program = place("proxy", order.proxy, "/usr/local/bin/caddy", "755")
    numbers = instances(order)
    configured = render("Caddyfile", site=order.site, instances=numbers, figures=_figures(order, numbers))
    changed = place("Caddyfile", configured, "/etc/caddy/Caddyfile")
    unit = place("caddy.service", render("caddy.service"), "/etc/systemd/system/caddy.service")
    systemd.daemon_reload(name="proxy's unit is read", _if=any_of(unit))
    systemd.service(name="proxy is up", service="caddy", running=True, enabled=True)
    anew = any_of(program, unit)
    systemd.service(name="proxy begins anew", service="caddy", restarted=True, _if=anew)
    taken = any_of(changed)
    systemd.service(
        name="proxy takes its settings", service="caddy", reloaded=True, _if=lambda: taken() and not anew()
    )


def _figures(order: Order, numbers: list[str]) -> dict[str, int]:
    """Where each process shows its figures, by its name in addresses; workers do so for a monitor only."""
    api = {f"api/{int(number)}": int(f"81{number}") for number in numbers}
    if "monitor" not in order.server.roles:
        return api
    workers = range(1, order.site.sizes.workers + 1)
    return api | {f"worker/{number}": ports.of_worker(number) for number in workers}
