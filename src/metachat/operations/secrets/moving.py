"""Secrets from one place to another; nothing that is there is overwritten."""

from pathlib import Path

from metachat.foundation.settings import PREFIX, Mode, Secret, envfile
from metachat.operations.secrets import files
from metachat.operations.secrets.contract import (
    SecretExists,
    Store,
    StoreDamaged,
    StoreRefusal,
    read_all,
)
from metachat.operations.secrets.known import check, known


def take(env_file: Path, store: Store, mode: Mode) -> dict[str, str]:
    """Put an env file's secrets into a store.

    Tells of each name in it: imported, same, kept (the store has another value), unfit and why, or other (no
    secret).
    """
    lines, bad = envfile.read(files.read(env_file))
    if bad:
        raise StoreDamaged(f"Line {bad[0].number} of {env_file} {bad[0].problem}.", "Mend the line.")
    told: dict[str, str] = {}
    for line in lines:
        name = line.name.removeprefix(PREFIX).lower()
        ours = line.name.startswith(PREFIX) and name in known()
        told[name if ours else line.name] = _take(name, Secret(line.value), store, mode) if ours else "other"
    return told


def copy(source: Store, target: Store) -> dict[str, str]:
    """Copy every secret; tells of each name: copied, same, or kept (the target has another value)."""
    told: dict[str, str] = {}
    for name, value in read_all(source).items():
        told[name] = _add(name, value, target, "copied")
        if told[name] == "copied" and target.get(name) != value:
            raise StoreDamaged(
                f"{name} does not come back from {target.address} as it went in.", "Check it there."
            )
    return told


def _take(name: str, value: Secret, store: Store, mode: Mode) -> str:
    try:
        check(name, value, mode)
    except StoreRefusal as refusal:
        return f"unfit: {refusal.found}"
    return _add(name, value, store, "imported")


def _add(name: str, value: Secret, store: Store, done: str) -> str:
    try:
        store.add(name, value)
    except SecretExists:
        return "same" if store.get(name) == value else "kept"
    return done
