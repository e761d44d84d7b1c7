"""Reads off the steps, while they are prepared, what they declare: so that nothing is written down twice.

Steps are plain pyinfra; what they call is watched here. Whatever a new step places, installs or starts is
expected of the server from then on.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from pyinfra.operations import apt, files, server, systemd

from metachat.operations.drift.model import Declared, MadeUser, PlacedFile, PlacedLink

_SECRETS = "/etc/metachat/credentials/"
_SUFFIXES = (".service", ".socket", ".timer", ".swap", ".mount", ".path", ".target", ".slice")


class Ledger:
    """What was declared so far."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.declared = Declared()
        self.quiet: list[str] = []

    def told(self) -> Declared:
        """All that was declared."""
        return msgspec.structs.replace(self.declared, quiet=sorted(set(self.quiet)))

    def put(self, name: str, told: dict[str, Any]) -> None:
        """A file with its content."""
        path = str(told["dest"])
        digest = "" if path.startswith(_SECRETS) else _hash(told["src"])
        mode = str(told.get("mode") or "644").lstrip("0")
        owner = told.get("user") or "root"
        self.declared.files[path] = PlacedFile(step=name, hash=digest, mode=mode, owner=owner)
        if digest:
            self.quiet.append(name)

    def link(self, name: str, told: dict[str, Any]) -> None:
        """A link."""
        if told.get("present", True):
            link = PlacedLink(step=name, target=str(told["target"]))
            self.declared.links[str(told["path"])] = link
            self.quiet.append(name)

    def packages(self, name: str, told: dict[str, Any]) -> None:
        """Packages; the age of their lists counts as a change, and is none."""
        self.quiet.append(name)
        if told.get("present", True):
            wanted = told["packages"]
            names = [wanted] if isinstance(wanted, str) else wanted
            self.declared.packages.update(dict.fromkeys(names, name))

    def user(self, name: str, told: dict[str, Any]) -> None:
        """A user, with groups and keys."""
        keys = told.get("public_keys")
        owned = [keys] if isinstance(keys, str) else keys
        self.declared.users[told["user"]] = MadeUser(
            step=name, shell=told.get("shell") or "/bin/sh", groups=list(told.get("groups") or []),
            keys=list(owned) if owned is not None and told.get("delete_keys") else None,
        )  # fmt: skip

    def service(self, name: str, told: dict[str, Any]) -> None:
        """A unit."""
        self.quiet.append(name)
        unit = told["service"] if told["service"].endswith(_SUFFIXES) else f"{told['service']}.service"
        if told.get("running", True):
            self.declared.running[unit] = name
        if told.get("enabled"):
            self.declared.enabled[unit] = name


@contextmanager
def watched() -> Iterator[Ledger]:
    """Watch what steps declare inside."""
    ledger = Ledger()
    calls = ((files, "put", ledger.put), (files, "link", ledger.link), (apt, "packages", ledger.packages),
             (server, "user", ledger.user), (systemd, "service", ledger.service),
             (server, "shell", None), (systemd, "daemon_reload", None))  # fmt: skip
    before = [(module, name, getattr(module, name)) for module, name, _ in calls]
    for (module, name, original), (_, _, note) in zip(before, calls, strict=True):
        setattr(module, name, _noting(original, note, ledger))
    try:
        yield ledger
    finally:
        for module, name, original in before:
            setattr(module, name, original)


def _noting(
    original: Callable[..., Any], note: Callable[[str, dict[str, Any]], None] | None, ledger: Ledger
) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(*args: Any, **told: Any) -> Any:
        name = str(told.get("name", ""))
        if "_if" in told:
            # It follows from another operation: that one tells.
            ledger.quiet.append(name)
        elif note is not None:
            note(name, dict(told))
        return original(*args, **told)

    return call


def _hash(source: Any) -> str:
    if hasattr(source, "getvalue"):
        content = source.getvalue()
        return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).hexdigest()
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
