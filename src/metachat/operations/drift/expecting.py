"""What code says that a server should be like, in the form of facts."""

import base64
import hashlib
from collections.abc import Iterator

from metachat.operations.drift.facts import starts_ours, user_sentence
from metachat.operations.drift.inventory import GROUPS
from metachat.operations.drift.model import Background, Declared, Item, Place


def expected(declared: Declared, background: Background) -> dict[Item, str]:
    """The server's own background, and over it what the steps of provisioning declare."""
    facts = {item: told for item, told in background.as_facts().items() if not is_declared(item, declared)}
    facts.update(_declared(declared))
    return facts


def is_declared(item: Item, declared: Declared) -> bool:
    """Whether code speaks of this: then the background is silent."""
    user = item.where.split(": ")[-1 if item.kind == "group member" else 0]
    made = declared.users.get(user)
    if item.kind == "authorised key":
        return made is not None and made.keys is not None
    if item.kind == "file" and starts_ours(item.where, declared):
        return True
    names = {
        "file": declared.files.keys() | declared.links.keys(),
        "user": declared.users.keys(),
        "unit": declared.enabled.keys(),
        "state": declared.running.keys(),
        "timer": declared.running.keys(),
    }
    return item.where in names.get(item.kind, ())


def _declared(declared: Declared) -> Iterator[tuple[Item, str]]:
    for path, file in declared.files.items():
        yield Item("file", path), f"sha256 {file.hash[:16]} mode {file.mode} of {file.owner}"
    for path, link in declared.links.items():
        yield Item("file", path), f"link to {link.target}"
    for name in declared.packages:
        yield Item("package", name), "installed"
    for name, user in declared.users.items():
        yield Item("user", name), user_sentence(user.shell)
        for group in user.groups:
            if group in GROUPS:
                yield Item("group member", f"{group}: {name}"), "member"
        for key in user.keys or []:
            yield Item("authorised key", f"{name}: {fingerprint(key)}"), "authorised"
    for unit in declared.enabled:
        yield Item("unit", unit), "enabled"
    for unit in declared.running:
        yield Item("state", unit), "active"


def fingerprint(key: str) -> str:
    """The name of a public key, as ssh-keygen tells it."""
    blob = key.split()[1] if len(key.split()) > 1 else ""
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def listening(place: Place) -> dict[Item, str]:
    """Where a server of these roles listens, by whom."""
    open_ports = {("tcp", "*", place.ssh_port): "sshd"}
    if "proxy" in place.roles:
        open_ports |= {("tcp", "*", 80): "caddy", ("tcp", "*", 443): "caddy"}
        if place.http3:
            open_ports[("udp", "*", 443)] = "caddy"
    if "app" in place.roles:
        open_ports |= {("tcp", "127.0.0.1", port): "metachat" for port in place.api_ports}
    open_ports |= {("tcp", "127.0.0.1", port): "monitoring" for port in place.monitor_ports}
    if "database" in place.roles:
        hosts = [host for host in ("127.0.0.1", "::1", place.private_address) if host]
        open_ports |= {("tcp", host, 5432): "postgres" for host in hosts}
    return {Item("socket", f"{one} {host}:{port}"): by for (one, host, port), by in open_ports.items()}


# Roles of the database: made by `metachat migrate --prepare`, by the database's step, and by Debian.
DATABASE_ROLES = {
    "metachat_owner": "login",
    "metachat_app": "login",
    "metachat_worker": "login",
    "metachat_monitor": "login in pg_monitor",
    "metachat_backup": "login replication",
    "postgres": "login superuser createrole createdb replication bypassrls",
}
DATABASE_SETTINGS = {"default_transaction_read_only of role metachat_monitor": "on"}
