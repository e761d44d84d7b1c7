"""Several keys in one value: `ID:KEY ID:KEY`, the one in use first; a key alone is a ring of one.

An ID is its key's fingerprint, so that a key that was cut short or mistyped shows.
"""

import re

from metachat.foundation.fingerprint import fingerprint
from metachat.foundation.settings.problems import Fault
from metachat.foundation.settings.strength import KEY_BYTES

# More than a rotation ever needs at once: the key in use, the one to come, and one that still is accepted.
MOST = 4

_MEMBER = re.compile(r"([0-9a-f]{16}):(\S+)")
_RING = re.compile(r"[0-9a-f]{16}:")


def keys_in(text: str) -> tuple[str, ...]:
    """The keys of a value, the one in use first; raises Fault for a ring that is not whole."""
    if not _RING.match(text):
        return (text,)
    members = [_MEMBER.fullmatch(part) for part in text.split(" ")]
    if not all(member and fingerprint(member[2]) == member[1] for member in members):
        raise Fault(
            "is a ring of keys with a part whose id does not belong to its key",
            fix="Let `metachat secrets rotate` write it, or restore it from the escrow bundle.",
        )
    keys = tuple(member[2] for member in members if member)
    if len(set(keys)) != len(keys) or len(keys) > MOST:
        raise Fault(f"is a ring with a key twice, or with more than {MOST} keys")
    return keys


def ring_of(keys: tuple[str, ...]) -> str:
    """Write keys as one value, the one in use first."""
    return keys[0] if len(keys) == 1 else " ".join(f"{fingerprint(key)}:{key}" for key in keys)


def long_enough(text: str) -> None:
    """Refuse a ring that holds a short key; raises Fault."""
    if any(len(key.encode()) < KEY_BYTES for key in keys_in(text)):
        raise Fault(f"is shorter than {KEY_BYTES} bytes")
