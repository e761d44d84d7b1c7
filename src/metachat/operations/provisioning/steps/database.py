"""Postgres 17 with pgvector: on the loopback or private address only, tuned from the machine's memory."""

from pyinfra import host
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.hardware import Memory
from pyinfra.operations import apt, files, server, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

_FOLDER = "/etc/postgresql/17/main"
_UNIT = "/etc/systemd/system/postgresql@.service.d/metachat.conf"
_ROLES = "/usr/local/lib/metachat/roles.sql"
_SERVICE = "postgresql@17-main"


def set_up(order: Order) -> None:
    """Install, tune and start Postgres."""
    apt.packages(name="Postgres", packages=["postgresql-17", "postgresql-17-pgvector"], no_recommends=True)
    memory = int(host.get_fact(Memory) or 1024)
    settings = render("postgresql.conf", memory=memory, server=order.server)
    tuned = place("Postgres settings", settings, f"{_FOLDER}/conf.d/metachat.conf", "640", "postgres")
    for name in ("postgresql.conf", "start.conf", "pg_ctl.conf"):
        files.file(name=f"{name} is for Postgres", path=f"{_FOLDER}/{name}", mode="640")
    unit = place("Postgres comes back", render("postgresql.service.conf", memory=memory), _UNIT)
    systemd.daemon_reload(name="Postgres's unit is read", _if=any_of(unit))
    systemd.service(name="Postgres is up", service=_SERVICE, running=True, enabled=True)
    doors = _doors(order)
    changed = any_of(tuned, unit)
    systemd.service(name="Postgres takes its settings", service=_SERVICE, restarted=True, _if=changed)
    systemd.service(name="Postgres takes its doors", service=_SERVICE, reloaded=True, _if=any_of(*doors))
    _roles()


def _doors(order: Order) -> list[OperationMeta]:
    """Place who may come in: the roles of the application from the site's machines, others from this one."""
    others = [
        one.private_address for one in order.site.servers if one.private_address and one != order.server
    ]
    doors = {"pg_hba.conf": render("pg_hba.conf", others=others, database="metachat"),
             "pg_ident.conf": render("pg_ident.conf")}  # fmt: skip
    return [
        files.put(
            name=name, src=content, dest=f"{_FOLDER}/{name}", mode="640", user="postgres", group="postgres"
        )
        for name, content in doors.items()
    ]


def _roles() -> None:
    files.directory(name="place of our programs", path="/usr/local/lib/metachat", mode="755", user="root")
    wanted = place("roles that look on and copy", render("roles.sql"), _ROLES)
    make = f"runuser -u postgres -- psql -q -v ON_ERROR_STOP=1 -f {_ROLES}"
    server.shell(name="roles are made", commands=[make], _if=any_of(wanted))
