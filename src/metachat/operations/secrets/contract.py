"""The contract of a store of secrets, and everything that it may refuse with."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.settings import Secret

# What the smallest store takes (a standard parameter of AWS); our own secrets are far below.
LONGEST_VALUE = 4096

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


class StoreRefusal(Refusal):
    """The secrets store refused."""

    def __init__(self, found: str, fix: str) -> None:
        """Say what was found (never a value) and the next move."""
        self.found = found
        self.fix = fix
        super().__init__(f"{found}\n{fix}", found=found, fix=fix)


class StoreUnreachable(StoreRefusal):
    """The secrets store did not answer."""

    code, kind = "store_unreachable", Kind.UNAVAILABLE


class StoreBusy(StoreUnreachable):
    """The secrets store is busy; try again shortly."""

    code, kind = "store_busy", Kind.THROTTLED


class StoreForbidden(StoreRefusal):
    """The secrets store does not let us in."""

    code, kind = "store_forbidden", Kind.FORBIDDEN


class StoreSealed(StoreRefusal):
    """The secrets store is sealed."""

    code, kind = "store_sealed", Kind.UNAVAILABLE


class StoreDamaged(StoreRefusal):
    """What the secrets store holds was altered or is not what metachat wrote."""

    code, kind = "store_damaged", Kind.INVALID


class StoreMissing(StoreRefusal):
    """The secrets store does not exist."""

    code, kind = "store_missing", Kind.NOT_FOUND


class StoreReadOnly(StoreRefusal):
    """The secrets store can only be read."""

    code, kind = "store_read_only", Kind.FORBIDDEN


class SecretMissing(StoreRefusal):
    """The secrets store has no secret of this name."""

    code, kind = "secret_missing", Kind.NOT_FOUND

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(name, f"Set it with `metachat secrets set {name}`, or see `metachat secrets list`.")


class SecretExists(StoreRefusal):
    """The secrets store already has a secret of this name."""

    code, kind = "secret_exists", Kind.CONFLICT

    def __init__(self, name: str) -> None:
        """Name it."""
        super().__init__(name, f"Replace it with `metachat secrets set {name}`, if that is what you want.")


class UnfitName(StoreRefusal):
    """A secret cannot have this name."""

    code, kind = "unfit_name", Kind.INVALID
    # For the journal: what is no name may be the value, in the wrong place.
    about = "[redacted]"


class UnfitValue(StoreRefusal):
    """A secret cannot have this value."""

    code, kind = "unfit_value", Kind.INVALID


@dataclass(frozen=True, slots=True)
class Described:
    """What a store knows of a secret besides its value; made_at is None where it keeps no date."""

    name: str
    made_at: datetime | None = None
    version: str | None = None


class Store(Protocol):
    """A place for secrets. Every call ends within a bounded time, well or with a StoreRefusal."""

    @property
    def address(self) -> str:
        """Where it is, as in METACHAT_SECRETS_STORE; never holds a secret."""
        ...

    def names(self) -> list[str]:
        """List the names, sorted."""
        ...

    def get(self, name: str) -> Secret:
        """Read a value; raises SecretMissing."""
        ...

    def add(self, name: str, value: Secret) -> None:
        """Keep a new value; raises SecretExists, and then changes nothing."""
        ...

    def put(self, name: str, value: Secret) -> None:
        """Keep a value in place of what was there."""
        ...

    def delete(self, name: str) -> None:
        """Forget a secret; raises SecretMissing."""
        ...

    def describe(self, name: str) -> Described:
        """Tell what is known of a secret; raises SecretMissing."""
        ...


def fit_names(names: Iterable[str]) -> list[str]:
    """Sort out what may be a secret of ours, from a place that may hold other things too."""
    return sorted(name for name in names if _NAME.fullmatch(name))


def fit_name(name: str) -> str:
    """Return the name when every store can keep it; raises UnfitName."""
    if not _NAME.fullmatch(name):
        raise UnfitName(
            "What was given is none.", "Use lower-case letters, digits and underscores, as in session_secret."
        )
    return name


def fit_value(name: str, value: Secret) -> str:
    """Return the value when every store can keep it unchanged; raises UnfitValue, without the value."""
    text = value.reveal()
    if not text or text != text.strip():
        raise UnfitValue(f"{name} is empty, or begins or ends with a space.", "Give it on one line, bare.")
    if not text.isprintable():
        raise UnfitValue(f"{name} has a line break or a control character.", "Give it on one line.")
    if len(text.encode()) > LONGEST_VALUE:
        raise UnfitValue(f"{name} is longer than {LONGEST_VALUE} bytes.", "Check that it is the right file.")
    return text


def read_all(store: Store) -> dict[str, Secret]:
    """Read every secret, by name."""
    values: dict[str, Secret] = {}
    for name in store.names():
        try:
            values[name] = store.get(name)
        except SecretMissing:
            continue  # deleted meanwhile
    return values
