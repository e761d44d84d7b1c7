"""Turns an inventory into facts that can be compared one by one; what packages account for is left out."""

from collections.abc import Iterator
from typing import Any

from metachat.operations.drift.inventory import EXPECTATION
from metachat.operations.drift.model import Declared, Item

# Shells that let nobody in.
_SHUT = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false", "/usr/bin/false", "/bin/sync")
_NOBODY = 65534
# A unit that is in one of these states was put there by somebody.
_CHOSEN = ("enabled", "enabled-runtime", "linked", "linked-runtime", "masked", "masked-runtime")


def facts(inventory: dict[str, Any], declared: Declared) -> dict[Item, str]:
    """What was found, without what comes from packages and is as they brought it."""
    found: dict[Item, str] = {}
    for name, part in _PARTS.items():
        if inventory.get(name) is not None:
            found.update(part(inventory[name], declared))
    return found


def _files(found: dict[str, Any], declared: Declared) -> Iterator[tuple[Item, str]]:
    for path, about in found.items():
        ours = path in declared.files or path in declared.links
        if not ours and starts_ours(path, declared):
            continue
        by_package = about["package"] and not about["touched"]
        if path != EXPECTATION and (ours or not (by_package or about["enabled_by_package"])):
            yield Item("file", path), file_sentence(about)


def starts_ours(path: str, declared: Declared) -> bool:
    """Whether a file is what starts a unit that we want to start: then the unit itself is compared."""
    folder, _, name = path.rpartition("/")
    return folder.endswith(".wants") and name in declared.enabled


def file_sentence(about: dict[str, Any]) -> str:
    """Say what a file is: its hash, shortened, with its mode and owner."""
    if "link" in about:
        return f"link to {about['link']}"
    return f"sha256 {about['hash'][:16]} mode {about['mode']} of {about['owner']}"


def _packages(found: dict[str, Any], declared: Declared) -> Iterator[tuple[Item, str]]:
    installed = set(found["installed"])
    for name in sorted((set(found["manual"]) | set(declared.packages)) & installed):
        yield Item("package", name), "installed"


def _users(found: dict[str, Any], declared: Declared) -> Iterator[tuple[Item, str]]:
    for name, about in found.items():
        root = about["uid"] == 0
        may_enter = about["shell"] not in _SHUT and about["uid"] != _NOBODY
        if name in declared.users or root or may_enter or about["password"]:
            yield Item("user", name), user_sentence(about["shell"], root, about["password"])


def user_sentence(shell: str, root: object = False, password: object = False) -> str:
    """Say what matters of an account: its shell, whether it is root, and whether a password opens it."""
    extras = [", is root" if root else "", ", has a password" if password else ""]
    return f"shell {shell}{''.join(extras)}"


def _groups(found: dict[str, Any], _: Declared) -> Iterator[tuple[Item, str]]:
    for group, members in found.items():
        for member in members:
            yield Item("group member", f"{group}: {member}"), "member"


def _keys(found: dict[str, Any], _: Declared) -> Iterator[tuple[Item, str]]:
    for user, rows in found.items():
        for row in rows:
            yield Item("authorised key", f"{user}: {row['name']}"), "authorised"


def _units(found: dict[str, Any], declared: Declared) -> Iterator[tuple[Item, str]]:
    for name, about in found.items():
        if name in declared.enabled or (about["file"] in _CHOSEN and not about["by_package"]):
            yield Item("unit", name), about["file"]
        if about["active"] == "failed":
            yield Item("state", name), "failed"
        elif name in declared.running:
            yield Item("state", name), about["active"]
        ours = name in declared.running
        if name.endswith(".timer") and not ours and about["active"] == "active" and not about["packaged"]:
            yield Item("timer", name), "active"


def _release(found: dict[str, str], _: Declared) -> Iterator[tuple[Item, str]]:
    for path, told in found.items():
        yield Item("release file", path), told


_PARTS = {
    "files": _files, "packages": _packages, "users": _users, "groups": _groups, "keys": _keys,
    "units": _units, "release": _release,
}  # fmt: skip
