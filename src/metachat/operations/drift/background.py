"""What a server had of its own: taken once, after the first provisioning, and kept on the operator's machine.

Its hash stands in the journal, whose lines are chained: a background that was changed later shows.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from metachat.foundation import clock
from metachat.foundation.errors import Kind, Refusal
from metachat.operations import journal
from metachat.operations.drift import expecting
from metachat.operations.drift.facts import facts
from metachat.operations.drift.inventory import GROUPS, WATCHED
from metachat.operations.drift.model import Background, Declared, Item

_WHAT = "drift background"
# What a server can have of its own; the rest is always code's, or must not be.
KINDS = ("file", "package", "user", "group member", "authorised key", "unit", "state", "timer")


# The parts of an inventory that those are made of.
_PARTS = ("files", "packages", "users", "groups", "keys", "units")


class InventoryIncomplete(Refusal):
    """Not everything on the server could be looked at; provision again."""

    code, kind = "inventory_incomplete", Kind.UNAVAILABLE


class BackgroundChanged(Refusal):
    """What is kept of the server's first state is not what the journal says."""

    code, kind = "background_changed", Kind.CONFLICT


def first(after: dict[str, Any], declared: Declared) -> Background:
    """Everything that a server has and code doesn't declare, at the end of its first provisioning.

    Raises InventoryIncomplete: what could not be read would be taken for an addition later.
    """
    missing = unread(after)
    if missing:
        raise InventoryIncomplete("; ".join(missing))
    return _made(_undeclared(after, declared), clock.now().isoformat(timespec="seconds"))


def grown(known: Background, before: dict[str, Any], after: dict[str, Any], declared: Declared) -> Background:
    """What a visit itself brought along or changed joins the background: units and users of packages.

    What was there before the visit and was unknown then, stays unknown; unless nobody had looked there yet.
    """
    if unread(before) or unread(after):
        return known
    old, new = _undeclared(before, declared), _undeclared(after, declared)
    kept = known.as_facts()
    brought = {item: told for item, told in new.items()
               if item not in kept and (item not in old or not in_scope(item, known.scope))}  # fmt: skip
    changed = {item for item, told in kept.items() if old.get(item) == told != new.get(item)}
    settled = {item: told for item, told in kept.items() if item not in changed} | brought
    settled |= {item: new[item] for item in changed & new.keys()}
    return known if settled == kept and known.scope == _scope() else _made(settled, known.at)


def unread(inventory: dict[str, Any]) -> list[str]:
    """Which of the parts that make a background could not be read, and why."""
    return [f"{part}: {reason}" for part, reason in inventory["unread"].items() if part in _PARTS]


def accepted(known: Background, item: Item, told: str) -> Background:
    """The background with one more fact, or with another word on one; "" takes it out."""
    kept = known.as_facts()
    kept.pop(item, None)
    settled = _made(kept | ({item: told} if told else {}), known.at)
    return msgspec.structs.replace(settled, scope=known.scope)


def _undeclared(inventory: dict[str, Any], declared: Declared) -> dict[Item, str]:
    nothing = Background(at="", facts=[])
    ours = expecting.expected(declared, nothing)
    return {
        item: told for item, told in facts(inventory, declared).items()
        if item.kind in KINDS and item not in ours and not expecting.is_declared(item, declared)
        and not _is_ours(item, declared)
    }  # fmt: skip


def _is_ours(item: Item, declared: Declared) -> bool:
    """Whether it is the state of a unit of ours: one that fails is never taken for granted."""
    template = re.sub(r"@[^.]*\.", "@.", item.where)
    places = {f"/etc/systemd/system/{name}" for name in (item.where, template)}
    return item.kind == "state" and bool(places & declared.files.keys())


def _made(facts: dict[Item, str], at: str) -> Background:
    rows = sorted((item.kind, item.where, told) for item, told in facts.items())
    return Background(at=at, facts=rows, scope=_scope())


def _scope() -> list[str]:
    return [*WATCHED, *(f"group {name}" for name in GROUPS)]


def in_scope(item: Item, scope: list[str]) -> bool:
    """Whether somebody looked there when the background was taken."""
    if item.kind == "group member":
        return f"group {item.where.partition(': ')[0]}" in scope
    if item.kind == "file":
        return any(item.where == top or item.where.startswith(f"{top}/") for top in scope)
    return True


def file(data: Path, server: str) -> Path:
    """Where the background of a server is kept."""
    return data / "drift" / f"{server}.background.json"


def keep(data: Path, server: str, background: Background) -> None:
    """Keep a background, and its hash in the journal; the same one changes nothing."""
    path, content = file(data, server), msgspec.json.format(msgspec.json.encode(background))
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o600)
    new.replace(path)
    journal.record(data, _WHAT, f"{server} {_hash(content)}")


def kept(data: Path, server: str) -> Background | None:
    """The background of a server; None before its first provisioning. Raises BackgroundChanged."""
    path = file(data, server)
    if not path.exists():
        return None
    content = path.read_bytes()
    told = [one.about for one in journal.entries(data)
            if one.what == _WHAT and one.about.startswith(f"{server} ")]  # fmt: skip
    if not told or told[-1] != f"{server} {_hash(content)}":
        raise BackgroundChanged(f"{path} was changed by hand; bring it back, or remove it and provision.")
    return msgspec.json.decode(content, type=Background)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
