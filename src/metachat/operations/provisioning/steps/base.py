"""The machine itself: packages, name, time, logs, kernel settings, patches, swap."""

from collections.abc import Callable
from io import BytesIO

from pyinfra import host
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import File
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, server, systemd

from metachat.operations.provisioning.changes import any_of
from metachat.operations.provisioning.order import Order
from metachat.operations.provisioning.placing import place
from metachat.operations.provisioning.templates import render

PACKAGES = (
    "ca-certificates", "curl", "python3-venv", "sudo", "nftables", "fail2ban", "python3-systemd",
    "unattended-upgrades", "needrestart", "systemd-timesyncd", "tzdata", "openssl", "procps", "brotli",
    "debsums", "apt-show-versions", "apt-listchanges", "libpam-tmpdir", "libpam-pwquality",
    "sysstat",
)  # fmt: skip

# What needs a kernel of its own, which a container has not.
OF_THE_KERNEL = ("auditd", "acct")

# A file each, from the template of that name.
_FILES = (
    ("limits of the journal", "journald.conf", "/etc/systemd/journald.conf.d/metachat.conf"),
    ("kernel settings", "sysctl.conf", "/etc/sysctl.d/60-metachat.conf"),
    ("kernel modules that are never loaded", "modules.conf", "/etc/modprobe.d/metachat.conf"),
    ("no dumps of memory", "limits.conf", "/etc/security/limits.d/metachat.conf"),
    ("unattended upgrades", "apt-upgrades", "/etc/apt/apt.conf.d/52metachat"),
    ("unattended upgrades are confined", "unattended-upgrades.service.conf",
     "/etc/systemd/system/unattended-upgrades.service.d/metachat.conf"),
    ("rules of the audit", "audit.rules", "/etc/audit/rules.d/metachat.rules"),
)  # fmt: skip

# login.defs: what it says of new accounts and their passwords.
_LOGIN = {"UMASK": "027", "PASS_MAX_DAYS": "365", "PASS_MIN_DAYS": "1", "SHA_CRYPT_MIN_ROUNDS": "10000",
          "SHA_CRYPT_MAX_ROUNDS": "20000"}  # fmt: skip


def set_up(order: Order) -> None:
    """Bring the base system to its state."""
    # Before the packages, whose services would start with what Debian says.
    placed = {path: _file(name, template, path, order) for name, template, path in _FILES}
    packages = [*PACKAGES, *(() if _in_container() else OF_THE_KERNEL)]
    apt.packages(name="base packages", packages=packages, update=True, cache_time=3600,
                 no_recommends=True)  # fmt: skip
    server.hostname(name="host name", hostname=order.server.name)
    # Or sudo asks the world's name servers for it each time.
    known_here = f"127.0.1.1 {order.server.name}"
    files.line(name="host name is known", path="/etc/hosts", line=known_here, ensure_newline=True)
    zone = f"/usr/share/zoneinfo/{order.site.upkeep.time_zone}"
    files.link(name="time zone", path="/etc/localtime", target=zone)
    for key, value in _LOGIN.items():
        files.line(name=f"new accounts: {key}", path="/etc/login.defs", line=rf"^#?{key}\s.*",
                   replace=f"{key} {value}")  # fmt: skip
    files.line(name="use is recorded", path="/etc/default/sysstat", line=r"^ENABLED=.*",
               replace='ENABLED="true"')  # fmt: skip
    systemd.service(name="use is recorded from the start", service="sysstat", running=True, enabled=True)
    files.line(name="packages are checked weekly", path="/etc/default/debsums", line=r"^CRON_CHECK=.*",
               replace="CRON_CHECK=weekly")  # fmt: skip
    journal = any_of(placed["/etc/systemd/journald.conf.d/metachat.conf"])
    systemd.service(name="journal is kept so", service="systemd-journald", restarted=True, _if=journal)
    _upgrades(any_of(placed["/etc/systemd/system/unattended-upgrades.service.d/metachat.conf"]))
    # A container has the settings of the network for its own, and those of the kernel from its host.
    take = f"sysctl -q --system{' || true' if _in_container() else ''}"
    kernel = any_of(placed["/etc/sysctl.d/60-metachat.conf"])
    server.shell(name="kernel takes its settings", commands=[take], _if=kernel)
    if not _in_container():
        _own_kernel(order, placed)
    # A container takes its time from its host, and systemd keeps the service from starting there.
    systemd.service(
        name="time is kept", service="systemd-timesyncd", running=not _in_container(), enabled=True
    )


def _upgrades(confined: Callable[[], bool]) -> None:
    systemd.daemon_reload(name="upgrades' unit is read", _if=confined)
    systemd.service(name="upgrades are on", service="unattended-upgrades", running=True, enabled=True)
    systemd.service(
        name="upgrades take their unit", service="unattended-upgrades", restarted=True, _if=confined
    )


def _own_kernel(order: Order, placed: dict[str, OperationMeta]) -> None:
    """What needs a kernel of its own: the audit, swap."""
    systemd.service(name="audit runs", service="auditd", running=True, enabled=True)
    server.shell(name="audit takes its rules", commands=["augenrules --load"],
                 _if=any_of(placed["/etc/audit/rules.d/metachat.rules"]))  # fmt: skip
    if order.site.sizes.swap != "0":
        made = not host.get_fact(File, path="/swapfile")
        size = order.site.sizes.swap
        commands = [f"fallocate -l {size} /swapfile", "chmod 600 /swapfile", "mkswap /swapfile"]
        server.shell(name="swap", commands=commands, _if=lambda: made)
        place("swap is on from the start", BytesIO(_SWAP), "/etc/systemd/system/swapfile.swap")
        systemd.service(name="swap is on", service="swapfile.swap", running=True, enabled=True)


_SWAP = b"[Unit]\nDescription=Swap\n\n[Swap]\nWhat=/swapfile\n\n[Install]\nWantedBy=swap.target\n"


def _in_container() -> bool:
    return host.get_fact(Command, command="systemd-detect-virt --container || true") not in ("none", "")


def _file(name: str, template: str, path: str, order: Order) -> OperationMeta:
    return place(name, render(template, site=order.site, server=order.server), path)
