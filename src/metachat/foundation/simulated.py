"""Where a simulator on this machine keeps its place, so that its own token, and no other, leads to it."""

import hashlib
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

PLACE_FILE = "simulator.json"
_AGE = 1.0


class Place(msgspec.Struct, frozen=True):
    """A simulator's address, the fingerprint of its access token, and what it was made with."""

    address: str
    token_sha256: str
    account: dict[str, Any] = {}


def read(data_dir: Path) -> Place | None:
    """Read the place that a data folder remembers; None when there is none that can be believed."""
    try:
        place = msgspec.json.decode((data_dir / PLACE_FILE).read_bytes(), type=Place)
    except (OSError, msgspec.MsgspecError):
        return None
    return place if _is_here(place.address) else None


def fingerprint(token: str) -> str:
    """What the place tells of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def detour(data_dir: Path) -> Callable[[str], str | None]:
    """Makes what tells where a token leads: to the simulator if it is the simulator's own, else None.

    Only whoever may write into the data folder can name a place, and only one on this machine; a tenant's
    token can thus not be led astray by any setting of a tenant's.
    """
    known: tuple[float, Place | None] = (0.0, None)

    def address_of(token: str) -> str | None:
        nonlocal known
        if known[0] < time.monotonic():
            known = (time.monotonic() + _AGE, read(data_dir))
        place = known[1]
        return place.address if place is not None and place.token_sha256 == fingerprint(token) else None

    return address_of


def _is_here(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "http" and ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
