"""Backups of a server: its log leaves as it is written, and timers make, check, try and thin out the rest."""

from io import BytesIO

from pyinfra.api.operation import OperationMeta
from pyinfra.operations import files, systemd

from metachat.operations.backups import archiving, site_file
from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

STATE = "/var/lib/metachat-backup"
AUTHORITY = "/etc/metachat/backup-authority.pem"

_SETTINGS = "/etc/postgresql/17/main/conf.d/metachat-backup.conf"
_PROGRAMS = "/usr/local/lib/metachat"
_SERVICE = "postgresql@17-main"

# What is done, and when; a machine that slept does it when it wakes.
TIMES = {"now": "02:30", "prune": "03:30", "verify": "Sun 03:45", "drill": "Sun 04:45"}


def set_up(order: Order) -> None:
    """Bring everything that backups need; where the site file names no target, take it away."""
    if not order.site.backup.target:
        gone = files.file(name="Postgres archives nothing", path=_SETTINGS, present=False)
        _restart(gone)
        return
    _furnish(order)
    program = place("archive program", BytesIO(archiving.SCRIPT.encode()), f"{_PROGRAMS}/archive.sh")
    settings = render("postgresql-backup.conf", state=STATE, programs=_PROGRAMS)
    _restart(program, place("Postgres archives", settings, _SETTINGS, "640", "postgres"))
    _units(order)


def _restart(*changes: OperationMeta) -> None:
    systemd.service(name="Postgres takes its archive", service=_SERVICE, restarted=True, _if=any_of(*changes))


def _furnish(order: Order) -> None:
    files.directory(
        name="place of the backups' state", path=STATE, mode="750", user="postgres", group="metachat"
    )
    files.directory(
        name="place of the log", path=f"{STATE}/spool", mode="700", user="postgres", group="postgres"
    )
    files.link(name="documents, as backups see them", path=f"{STATE}/blobs", target="/var/lib/metachat/blobs")
    # So that the metrics tell of them.
    files.link(name="state of the backups", path="/var/lib/metachat/backups", target=f"{STATE}/backups")
    place("site file for the backups", BytesIO(site_file.written(order.site).encode()), f"{STATE}/site.toml",
          "640", "postgres")  # fmt: skip
    if order.site.backup.ca:
        place("authority of the backups' store", BytesIO(order.site.backup.ca.encode()), AUTHORITY)
    target = site_file.address(order.site.backup, AUTHORITY)
    place("settings of the backups", render("backup-settings", site=order.site, target=target, state=STATE),
          "/etc/metachat/backup.env")  # fmt: skip
    facts = {"secrets": sorted(order.secrets), "state": STATE}
    place(
        "command line of the backups",
        render("backup-command", **facts),
        "/usr/local/bin/metachat-backup",
        "755",
    )
    place("program that takes back", render("take-back", **facts), f"{_PROGRAMS}/take-back", "755")


def _units(order: Order) -> None:
    # The name of the release, so that the archive begins anew with each.
    facts = {"secrets": sorted(order.secrets), "state": STATE, "release": order.release}
    archive = "metachat-archive.service"
    placed = [
        place(unit, render(unit, **facts), f"/etc/systemd/system/{unit}")
        for unit in (archive, "metachat-backup@.service")
    ]
    timers = {f"metachat-backup-{verb}.timer": (verb, when) for verb, when in TIMES.items()}
    for unit, (verb, when) in timers.items():
        timer = render("metachat-backup.timer", verb=verb, when=when)
        placed.append(place(unit, timer, f"/etc/systemd/system/{unit}"))
    systemd.daemon_reload(name="backups' units are read", _if=any_of(*placed))
    systemd.service(name="archive", service=archive, running=True, enabled=True)
    systemd.service(name="archive begins anew", service=archive, restarted=True, _if=any_of(*placed))
    for unit in timers:
        systemd.service(name=f"timer {unit}", service=unit, running=True, enabled=True)
