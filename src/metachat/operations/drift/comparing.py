"""Compares an inventory with what is expected, and names every difference with its next move."""

from typing import Any

import msgspec

from metachat.operations.drift import database, expecting, network, proxy
from metachat.operations.drift.background import in_scope
from metachat.operations.drift.facts import facts
from metachat.operations.drift.model import Background, Declared, Facts, Finding, Item, Place
from metachat.operations.drift.undoing import PROVISION, undo

_CURRENT = "/opt/metachat/current"
RELEASES = "/opt/metachat/releases/"
# Absent on a machine without IPv6, and no loss.
_OPTIONAL = {Item("socket", "tcp ::1:5432")}
# In this order differences are taken back: packages bring files and units, what reads files comes last.
_ORDER = (
    "inventory", "package", "user", "group member", "authorised key", "timer", "unit", "file", "release file",
    "state", "Postgres setting", "Postgres role", "firewall rule", "firewall order",
    "proxy setting", "socket", "step",
)  # fmt: skip


def compare(
    inventory: dict[str, Any], declared: Declared, place: Place, background: Background
) -> list[Finding]:
    """Find every difference between a server and what code and its background say.

    inventory needs rules_meant and proxy_meant: what the server's own files would make, or made.
    """
    declared = _of_the_same_release(inventory, declared)
    meant = expecting.expected(declared, background)
    found = {item: told for item, told in facts(inventory, declared).items()
             if item in meant or in_scope(item, background.scope)}  # fmt: skip
    differences = [*_unread(inventory), *_differences(found, _without(meant, inventory), declared, inventory)]
    for section in (_firewall, _sockets, _proxy, _database):
        observed, expected = section(inventory, declared, place)
        differences += _differences(observed, expected, declared, inventory)
    return sorted(differences, key=lambda one: (_ORDER.index(one.what), one.where))


def _of_the_same_release(inventory: dict[str, Any], declared: Declared) -> Declared:
    """Where another release runs, that alone is told, and not each of its files."""
    current, meant = inventory.get("files", {}).get(_CURRENT, {}), declared.links.get(_CURRENT)
    if meant is None or current.get("link") == meant.target:
        return declared
    files = {path: file for path, file in declared.files.items() if not path.startswith(RELEASES)}
    return msgspec.structs.replace(declared, files=files)


def _without(meant: Facts, inventory: dict[str, Any]) -> Facts:
    """Leave out what could not be read: that is told once, not for every item."""
    unread = {kind for name in inventory["unread"] for kind in _KINDS.get(name, ())}
    return {item: told for item, told in meant.items() if item.kind not in unread}


_KINDS = {
    "files": ("file",), "packages": ("package",), "users": ("user",), "groups": ("group member",),
    "keys": ("authorised key",), "units": ("unit", "state", "timer"), "release": ("release file",),
}  # fmt: skip


def _unread(inventory: dict[str, Any]) -> list[Finding]:
    return [
        Finding(what="inventory", where=name, expected="readable", found=f"unreadable ({reason})",
                fix="See what the server says, run metachat provision, and compare again.")
        for name, reason in inventory["unread"].items()
    ]  # fmt: skip


def _differences(found: Facts, meant: Facts, declared: Declared, inventory: dict[str, Any]) -> list[Finding]:
    differences = []
    for item in found.keys() | meant.keys():
        here, there = found.get(item, ""), meant.get(item, "")
        if here != there and not _is_no_loss(item, here, there):
            way = undo(item, there, here, inventory)
            # What is masked cannot be started by its step.
            step = "" if "masked" in here else _step(item, declared)
            ours = Finding(what=item.kind, where=item.where, expected=there, found=here, step=step,
                           fix=PROVISION if step else way.fix,
                           undo=[] if step else way.commands)  # fmt: skip
            differences.append(ours)
    return differences


def _is_no_loss(item: Item, here: str, there: str) -> bool:
    """Whether what is missing is missed by nobody: a failure of the first day, or IPv6."""
    return not here and (there == "failed" or item in _OPTIONAL)


def _step(item: Item, declared: Declared) -> str:
    """The step of provisioning that takes the difference back by itself; "" for none."""
    if item.kind == "file" and item.where in declared.files:
        return declared.files[item.where].step
    if item.kind == "file" and item.where in declared.links:
        return declared.links[item.where].step
    if item.kind == "user" and item.where in declared.users:
        return declared.users[item.where].step
    if item.kind == "authorised key":
        made = declared.users.get(item.where.partition(": ")[0])
        return made.step if made is not None and made.keys is not None else ""
    steps = {"package": declared.packages, "state": declared.running, "unit": declared.enabled}.get(
        item.kind, {}
    )
    return steps.get(item.where, "")


def _firewall(inventory: dict[str, Any], _: Declared, __: Place) -> tuple[Facts, Facts]:
    if inventory.get("rules") is None or inventory.get("rules_meant") is None:
        return {}, {}
    live, meant = inventory["rules"], inventory["rules_meant"]
    moved = {Item("firewall order", where): "another one" for where in network.order_differs(live, meant)}
    orders = dict.fromkeys(moved, "as in /etc/nftables.conf")
    return network.rules(live) | moved, network.rules(meant) | orders


def _sockets(inventory: dict[str, Any], _: Declared, place: Place) -> tuple[Facts, Facts]:
    if inventory.get("sockets") is None:
        return {}, {}
    found = network.sockets(inventory["sockets"])
    meant = expecting.listening(place)
    # Who listens is told, and not compared: the first process of the machine holds the api's sockets.
    return {item: meant.get(item, by) for item, by in found.items()}, meant


def _proxy(inventory: dict[str, Any], _: Declared, place: Place) -> tuple[Facts, Facts]:
    missing = inventory.get("proxy") is None or inventory.get("proxy_meant") is None
    if "proxy" not in place.roles or missing:
        return {}, {}
    return proxy.leaves(inventory["proxy"]), proxy.leaves(inventory["proxy_meant"])


def _database(inventory: dict[str, Any], declared: Declared, place: Place) -> tuple[Facts, Facts]:
    if "database" not in place.roles or inventory.get("database") is None:
        return {}, {}
    return database.found(inventory["database"], declared), database.expected()
