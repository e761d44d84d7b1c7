"""What a search for leaked secrets finds; a finding never holds the value."""

import hashlib
from dataclasses import dataclass

# Slow on purpose: a baseline that lies in Git must not let anybody guess short passwords.
_COST = {"n": 2**12, "r": 8, "p": 1}


@dataclass(frozen=True, slots=True)
class Source:
    """A line of a file as somebody wrote it; commit None means the work tree."""

    path: str
    number: int
    text: str
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """One secret that lies open: where, since which commit, and which rule says so.

    name is the key's name where the line has one. fingerprint tells the same finding again without telling
    its value.
    """

    path: str
    line: int
    commit: str | None
    rule: str
    name: str
    fingerprint: str

    @property
    def place(self) -> str:
        """Where it lies, as people read it."""
        at = f"{self.path}:{self.line}" if self.line else self.path
        return f"{at} in commit {self.commit[:12]}" if self.commit else at


def fingerprint(rule: str, path: str, value: str) -> str:
    """Name a finding for a baseline."""
    salt = f"metachat:leak:{rule}:{path}".encode()
    return hashlib.scrypt(value.encode(), salt=salt, dklen=10, **_COST).hex()
