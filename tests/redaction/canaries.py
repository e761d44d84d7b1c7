"""Values that must never be seen again, and a search that knows how they might be written."""

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Canary:
    """One value that was seeded somewhere; core is random, and needles are the ways to write parts of it."""

    name: str
    core: str

    @property
    def needles(self) -> tuple[bytes, ...]:
        """A third of it at either end, plain, in hex, and in base64 wherever it may begin there."""
        core = self.core.encode()
        inside = [base64.b64encode(b"x" * before + core)[4:-4] for before in range(3)]
        return core[:14], core[-14:], core.hex().encode()[:30], core.hex().upper().encode()[:30], *inside


@dataclass
class Aviary:
    """All canaries; `open` are those that may be read where customers' own words stand."""

    canaries: list[Canary] = field(default_factory=list)

    def seed(self, name: str) -> str:
        """Make a value for a place; letters and digits only, so that every form and header takes it."""
        core = "Cn4ry" + secrets.token_hex(20)
        self.canaries.append(Canary(name, core))
        return core

    def watch(self, name: str, value: str) -> str:
        """Look after a value that the platform made."""
        assert len(value) >= 20
        self.canaries.append(Canary(name, value.split(".")[-1]))
        return value

    def seen_in(self, sink: str, content: bytes, but: Iterable[str] = ()) -> list[str]:
        """Tell which canaries a sink holds, and beside which words."""
        found: list[str] = []
        for canary in self.canaries:
            if canary.name.startswith(tuple(but) or ("\0",)):
                continue
            for needle in canary.needles:
                at = content.find(needle)
                if at >= 0:
                    beside = content[max(0, at - 160) : at].decode(errors="replace")
                    found.append(f"{sink}: {canary.name} after {beside!r}")
                    break
        return found


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
