"""The application: its user, its release in an environment of its own, its secrets and its units."""

from io import BytesIO

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files, server, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.steps.release import unpack
from metachat.operations.provisioning.templates import render

_CREDENTIALS = "/etc/metachat/credentials"
_UNITS = (
    "metachat-api@.service", "metachat-api@.socket", "metachat-worker@.service", "metachat-prepare.service",
    "metachat-migrate.service",
)  # fmt: skip


def set_up(order: Order) -> None:
    """Bring the release, its secrets and its units, and start what changed one after the other."""
    server.user(
        name="user of the application", user="metachat", system=True, home="/var/lib/metachat",
        shell="/usr/sbin/nologin", ensure_home=False, create_home=False,
    )  # fmt: skip
    changes = [*_furnish(order), unpack(order)]
    systemd.daemon_reload(name="units are read", _if=any_of(*changes))
    for unit in ("metachat-prepare", "metachat-migrate"):
        start = f"systemctl start {unit}.service"
        server.shell(name=f"{unit} has run", commands=[start], _if=any_of(*changes))
    for number in instances(order):
        socket = f"metachat-api@{number}.socket"
        systemd.service(name=f"socket {number}", service=socket, running=True, enabled=True)
        _serve(f"api {number}", f"metachat-api@{number}", changes)
    for place_of_it in range(1, order.site.sizes.workers + 1):
        _serve(f"worker {place_of_it}", f"metachat-worker@{place_of_it}", changes)


def instances(order: Order) -> list[str]:
    """The api processes by number, two digits each: the last part of their port."""
    return [f"{number:02}" for number in range(1, max(order.site.sizes.api, 2) + 1)]


def _furnish(order: Order) -> list[OperationMeta]:
    """Place what the processes read: settings, secrets, units."""
    files.directory(name="place of the secrets", path=_CREDENTIALS, mode="700", user="root", group="root")
    placed = [place("settings", render("settings", site=order.site), "/etc/metachat/metachat.env")]
    for name, value in sorted(order.secrets.items()):
        placed.append(place(f"secret {name}", BytesIO(value.encode()), f"{_CREDENTIALS}/{name}", "600"))
    for unit in _UNITS:
        content = render(unit, sizes=order.site.sizes)
        placed.append(place(unit, content, f"/etc/systemd/system/{unit}"))
    return placed


def _serve(name: str, unit: str, changes: list[OperationMeta]) -> None:
    systemd.service(name=name, service=unit, running=True, enabled=True)
    systemd.service(name=f"{name} is rolled", service=unit, restarted=True, _if=any_of(*changes))
