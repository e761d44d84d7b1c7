"""How each kind of difference is taken back: by provisioning, or by a command that is named.

Nothing is lost: files that should not be there are moved aside, users are locked, packages keep their
configuration.
"""

import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

from metachat.operations.drift.model import Item

PROVISION = "metachat provision"
ASIDE = "/var/backups/metachat-strays"

Commands = list[str]


class Undo(NamedTuple):
    """What a person does, and what provisioning runs when its own steps don't take the difference back."""

    fix: str
    commands: Commands


def undo(item: Item, expected: str, found: str, inventory: dict[str, Any]) -> Undo:
    """Say how a difference is taken back. expected or found "" means that it is an addition, or missing."""
    way = _WAYS.get(item.kind)
    if way is None:
        return Undo(PROVISION, [])
    return way(item.where, expected, found, inventory)


def _file(path: str, expected: str, found: str, inventory: dict[str, Any]) -> Undo:
    package = inventory["files"].get(path, {}).get("package")
    if package:
        again = shlex.join(["apt-get", "install", "-y", "--reinstall", "-o",
                            "Dpkg::Options::=--force-confmiss", package])  # fmt: skip
        return Undo(PROVISION, [*aside(path), again, *_after(path)])
    if expected:
        accept = f"metachat drift --accept {shlex.quote(f'file {path}')}"
        return Undo(f"see what changed it, and mend it; or, if it is right: {accept}", [])
    return Undo(PROVISION, [*aside(path), *_after(path)])


def aside(path: str) -> Commands:
    """Move a file out of the way, keeping it under its path and the time."""
    kept = f'"{ASIDE}/$(date -u +%Y%m%dT%H%M%S)"{shlex.quote(path.rpartition("/")[0])}'
    file = shlex.quote(path)
    return [f"if [ -e {file} ] || [ -L {file} ]; then umask 077; mkdir -p {kept} && mv -f {file} {kept}/; fi"]


# What has read a file must read again once it is gone.
_READERS: tuple[tuple[tuple[str, ...], Commands], ...] = (
    (("/etc/ssh/",), ["sshd -t && systemctl reload ssh"]),
    (("/etc/fail2ban/",), ["systemctl restart fail2ban"]),
    (("/etc/nftables",), ["nft -f /etc/nftables.conf", "systemctl try-restart fail2ban"]),
    (("/etc/caddy/",), ["systemctl reload caddy"]),
    (("/etc/sysctl",), ["systemctl restart systemd-sysctl"]),
    (("/etc/postgresql/",), ["systemctl restart postgresql@17-main"]),
    (("/etc/systemd/journald",), ["systemctl restart systemd-journald"]),
    (("/etc/udev/",), ["udevadm control --reload || true"]),
)


def _after(path: str) -> Commands:
    for begins, commands in _READERS:
        if path.startswith(begins):
            return commands
    if "/systemd/system" in path:
        return _after_unit(path)
    return []


def _after_unit(path: str) -> Commands:
    """Units are read again; one that a drop-in had changed starts anew, one that is gone stops."""
    folder, _, name = path.rpartition("/")
    parent = folder.rpartition("/")[2]
    if parent.endswith(".d"):
        unit = parent.removesuffix(".d")
        pattern = unit.replace("@.", "@*.")
        return ["systemctl daemon-reload", f"systemctl try-restart {shlex.quote(pattern)}"]
    stop = [] if parent.endswith((".wants", ".requires")) else [f"systemctl stop {shlex.quote(name)} || true"]
    return ["systemctl daemon-reload", *stop]


def _package(name: str, expected: str, _: str, __: dict[str, Any]) -> Undo:
    if expected:
        return Undo(PROVISION, [f"DEBIAN_FRONTEND=noninteractive apt-get install -y {shlex.quote(name)}"])
    # What other packages need stays, and so does the configuration of what goes.
    return Undo(PROVISION, [f"apt-mark auto {shlex.quote(name)}",
                            "DEBIAN_FRONTEND=noninteractive apt-get autoremove -y"])  # fmt: skip


def _user(name: str, expected: str, found: str, inventory: dict[str, Any]) -> Undo:
    who = shlex.quote(name)
    if expected:
        return Undo(f"look at it, then: usermod {who} back to '{expected}'", [])
    if "is root" in found:
        # Locking a second root leaves a root behind: a person decides.
        return Undo(f"userdel --force {who}   (its home stays)", [f"usermod --lock --expiredate 1 {who}"])
    lock = f"usermod --lock --expiredate 1 --shell /usr/sbin/nologin {who}"
    files = sorted({row["file"] for row in inventory.get("keys", {}).get(name, [])})
    return Undo(PROVISION, [lock, *(one for file in files for one in aside(file)),
                            f"loginctl terminate-user {who} || true"])  # fmt: skip


def _member(where: str, expected: str, _: str, __: dict[str, Any]) -> Undo:
    group, _, user = where.partition(": ")
    if expected:
        return Undo(PROVISION, [shlex.join(["gpasswd", "--add", user, group])])
    return Undo(PROVISION, [shlex.join(["gpasswd", "--delete", user, group])])


def _key(where: str, expected: str, _: str, inventory: dict[str, Any]) -> Undo:
    user, _, name = where.partition(": ")
    rows = [row for row in inventory.get("keys", {}).get(user, []) if row["name"] == name]
    if expected or not rows or not rows[0]["blob"]:
        return Undo(f"look at ~{user}/.ssh/authorized_keys", [])
    file = shlex.quote(rows[0]["file"])
    # Moved aside with the file of a user who was locked, it is gone already.
    without = f"if [ -f {file} ]; then sed -i '\\|{rows[0]['blob']}|d' {file}; fi"
    return Undo(PROVISION, [without])


def _unit(name: str, expected: str, found: str, _: dict[str, Any]) -> Undo:
    unit = shlex.quote(name)
    if "masked" in found:
        return Undo(PROVISION, [f"systemctl unmask {unit}", f"systemctl unmask --runtime {unit}"])
    if expected:
        return Undo(PROVISION, [f"systemctl enable {unit}"] if not found else [])
    return Undo(PROVISION, [f"systemctl disable --now {unit} || true"])


def _state(name: str, expected: str, found: str, _: dict[str, Any]) -> Undo:
    unit = shlex.quote(name)
    if found == "failed" and not expected:
        return Undo(f"journalctl -u {unit}; then: systemctl reset-failed {unit}", [])
    return Undo(PROVISION, [f"systemctl reset-failed {unit}; systemctl start {unit}"] if expected else [])


def _timer(name: str, expected: str, _: str, __: dict[str, Any]) -> Undo:
    verb = "start" if expected else "stop"
    return Undo(PROVISION, [f"systemctl {verb} {shlex.quote(name)} || true"])


def _socket(where: str, expected: str, found: str, _: dict[str, Any]) -> Undo:
    if expected:
        return Undo(PROVISION, [])
    unit = found.partition(" of ")[2]
    port = where.rpartition(":")[2]
    stop = f"systemctl stop {unit}" if unit.endswith((".service", ".socket")) else "stop the process it names"
    return Undo(f"ss -lntup 'sport = :{port}'; then: {stop}   (the firewall keeps others out)", [])


def _rule(_: str, __: str, ___: str, ____: dict[str, Any]) -> Undo:
    return Undo(PROVISION, ["nft -f /etc/nftables.conf", "systemctl try-restart fail2ban"])


def _proxy(_: str, __: str, ___: str, ____: dict[str, Any]) -> Undo:
    return Undo(PROVISION, ["systemctl reload caddy"])


def _release(path: str, _: str, found: str, __: dict[str, Any]) -> Undo:
    clear = [f"rm -f {shlex.quote(path)}"] if found == "added" else []
    again = "tar -xf /opt/metachat/current/release.tar -C /opt/metachat/current/"
    return Undo(
        PROVISION, [*clear, again, "systemctl restart 'metachat-api@*.service' 'metachat-worker@*.service'"]
    )


def _setting(where: str, _: str, found: str, __: dict[str, Any]) -> Undo:
    name, _, whose = where.partition(" of ")
    if whose:
        return Undo(PROVISION, [_psql(f"{_owner_of(whose)} RESET {_quoted(name)}")])
    if "postgresql.auto.conf" in found:
        return Undo(PROVISION, [_psql(f"ALTER SYSTEM RESET {_quoted(name)}"), *_TAKEN_OVER])
    if "command line" in found:
        return Undo(PROVISION, ["systemctl restart postgresql@17-main"])
    return Undo(PROVISION, _TAKEN_OVER)


def _owner_of(whose: str) -> str:
    words = whose.split(" ")
    if words[0] == "database":
        return f"ALTER DATABASE {_quoted(words[1])}"
    return f"ALTER ROLE {_quoted(words[1])}" + (f" IN DATABASE {_quoted(words[3])}" if len(words) > 3 else "")


def _role(name: str, expected: str, found: str, _: dict[str, Any]) -> Undo:
    if not found:
        made = ["systemctl start metachat-prepare.service",
                "runuser -u postgres -- psql -q -f /usr/local/lib/metachat/roles.sql"]  # fmt: skip
        return Undo(PROVISION, made)
    if not expected:
        # What it owns is data: it is shut out, never dropped.
        shut = f"ALTER ROLE {_quoted(name)} NOLOGIN NOSUPERUSER NOREPLICATION NOBYPASSRLS"
        return Undo(f"if it is not needed: DROP ROLE {_quoted(name)}", [_psql(shut)])
    able = ("login", "superuser", "createrole", "createdb", "replication", "bypassrls")
    words = [word.upper() if word in expected.split() else f"NO{word.upper()}" for word in able]
    revoke = [
        _psql(f"REVOKE {_quoted(one)} FROM {_quoted(name)}") for one in _groups(found) - _groups(expected)
    ]
    return Undo(PROVISION, [_psql(f"ALTER ROLE {_quoted(name)} {' '.join(words)}"), *revoke])


def _groups(told: str) -> set[str]:
    _, _, groups = f" {told}".partition(" in ")
    return {one for one in groups.split(", ") if one}


_PENDING = "SELECT count(*) FROM pg_settings WHERE pending_restart"
_ASK = f'runuser -u postgres -- psql -XAtqc "{_PENDING}"'
# A reload first; a restart only where a setting asks for it.
_TAKEN_OVER = [
    "systemctl reload postgresql@17-main; sleep 1",
    f'if [ "$({_ASK})" != 0 ]; then systemctl restart postgresql@17-main; fi',
]


def _psql(statement: str) -> str:
    return shlex.join(["runuser", "-u", "postgres", "--", "psql", "-XAtqc", statement])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_WAYS: dict[str, Callable[[str, str, str, dict[str, Any]], Undo]] = {
    "file": _file, "package": _package, "user": _user, "group member": _member, "authorised key": _key,
    "unit": _unit, "state": _state, "timer": _timer, "socket": _socket, "firewall rule": _rule,
    "firewall order": _rule, "proxy setting": _proxy, "release file": _release, "Postgres setting": _setting,
    "Postgres role": _role,
}  # fmt: skip
