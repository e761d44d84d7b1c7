"""The application: its user, its release in an environment of its own, its secrets and its units."""

from io import BytesIO

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files, server, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.changes import changes as changes_it
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.sizes import share
from metachat.operations.provisioning.steps.release import unpack
from metachat.operations.provisioning.templates import render

_CREDENTIALS = "/etc/metachat/credentials"
_PROGRAMS = "/usr/local/lib/metachat"


def set_up(order: Order) -> None:
    """Bring the release, its secrets and its units, and start what changed one after the other."""
    server.user(
        name="user of the application", user="metachat", system=True, home="/var/lib/metachat",
        shell="/usr/sbin/nologin", ensure_home=False, create_home=False,
    )  # fmt: skip
    furnished, release = _furnish(order), unpack(order)
    changes = [*furnished, release, *_units(order)]
    systemd.daemon_reload(name="units are read", _if=any_of(*changes))
    _prepare(order, changes)
    for number in instances(order):
        socket = f"metachat-api@{number}.socket"
        systemd.service(name=f"socket {number}", service=socket, running=True, enabled=True)
        _serve(f"api {number}", f"metachat-api@{number}", f"{_PROGRAMS}/roll {number}", changes)
    for number in range(1, order.site.sizes.workers + 1):
        unit = f"metachat-worker@{number}"
        _serve(f"worker {number}", unit, f"systemctl restart {unit}", changes)
    systemd.service(name="relief", service="metachat-relieve.timer", running=True, enabled=True)


def instances(order: Order) -> list[str]:
    """The api processes by number, two digits each: the last part of their port."""
    wanted = order.site.sizes.api or max(order.cores, 2)
    return [f"{number:02}" for number in range(1, wanted + 1)]


def _furnish(order: Order) -> list[OperationMeta]:
    """Place what the processes read: settings and secrets; and the command line."""
    files.directory(name="place of the secrets", path=_CREDENTIALS, mode="700", user="root", group="root")
    files.directory(name="place of our programs", path=_PROGRAMS, mode="755", user="root")
    place("command line", render("command"), "/usr/local/bin/metachat", "755")
    threshold = share(order.site.sizes.api_memory, 75) // 1024
    place("rolling program", render("roll"), f"{_PROGRAMS}/roll", "755")
    place("relief program", render("relieve", threshold=threshold), f"{_PROGRAMS}/relieve", "755")
    placed = [place("settings", render("settings", site=order.site), "/etc/metachat/metachat.env")]
    for name, value in sorted(order.secrets.items()):
        placed.append(place(f"secret {name}", BytesIO(value.encode()), f"{_CREDENTIALS}/{name}", "600"))
    return placed


def _units(order: Order) -> list[OperationMeta]:
    sizes = order.site.sizes
    high = {"metachat-api@.service": sizes.api_memory, "metachat-worker@.service": sizes.worker_memory}
    units = (*high, "metachat-api@.socket", "metachat-prepare.service", "metachat-migrate.service",
             "metachat-relieve.service", "metachat-relieve.timer")  # fmt: skip
    return [
        place(
            unit,
            render(unit, sizes=sizes, high=share(high[unit], 85) if unit in high else 0),
            f"/etc/systemd/system/{unit}",
        )
        for unit in units
    ]


def _prepare(order: Order, changes: list[OperationMeta]) -> None:
    """Bring the database to this version: its roles where it is on this machine, its tables in any case."""
    here = "database" in order.server.roles
    for unit in ("metachat-prepare", "metachat-migrate") if here else ("metachat-migrate",):
        why = f"journalctl -u {unit} -n 20 -o cat --no-pager >&2; exit 1"
        start = f"systemctl start {unit}.service || {{ {why}; }}"
        server.shell(name=f"{unit} has run", commands=[start], _if=any_of(*changes))


def _serve(name: str, unit: str, roll: str, changes: list[OperationMeta]) -> None:
    started = systemd.service(name=name, service=unit, running=True, enabled=True)
    changed = any_of(*changes)
    server.shell(name=f"{name} is rolled", commands=[roll], _if=lambda: changed() and not changes_it(started))
