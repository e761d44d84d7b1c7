"""Secrets sealed for one place in the database, under a key that they name.

A sealed value is one byte for its form, the eight bytes of the key's id, the nonce and the ciphertext of
AES-256-GCM. Form, key and place are authenticated with it.
"""

import functools
from dataclasses import dataclass
from uuid import UUID

from metachat.foundation import crypto, redaction
from metachat.foundation.crypto import SealBroken
from metachat.foundation.keyring import Keyring

FORM = b"\x01"
_HEAD_BYTES = 9


class KeyUnknown(SealBroken):
    """A value was sealed under a key that this ring does not hold."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sealed value belongs: it opens nowhere else."""

    tenant: UUID
    table: str
    column: str
    row: str


def seal(ring: Keyring, plaintext: bytes, place: Place) -> bytes:
    """Encrypt for a place, under the key in use."""
    key = ring.current
    return _head(key.id) + crypto.seal(key.value, plaintext, _bound(key.id, place))


def unseal(ring: Keyring, sealed: bytes, place: Place) -> bytes:
    """Decrypt what was sealed for this place under any key of the ring; raises SealBroken, KeyUnknown."""
    id = key_id(sealed)
    key = ring.find(id)
    if key is None:
        raise KeyUnknown(f"it was sealed under the key {id}, which is not here")
    plaintext = crypto.unseal(key.value, sealed[_HEAD_BYTES:], _bound(id, place))
    redaction.remember_of_tenant(plaintext)
    return plaintext


def key_id(sealed: bytes) -> str:
    """The id of the key that a value was sealed under; raises SealBroken for what is no sealed value."""
    if len(sealed) <= _HEAD_BYTES or sealed[:1] != FORM:
        raise SealBroken("this is no sealed value")
    return sealed[1:_HEAD_BYTES].hex()


def head(ring: Keyring) -> bytes:
    """What every value begins with that is sealed under the key in use."""
    return _head(ring.current.id)


@functools.lru_cache(maxsize=64)
def _head(id: str) -> bytes:
    return FORM + bytes.fromhex(id)


def _bound(id: str, place: Place) -> bytes:
    # Each part with its length, so that no two places read alike.
    texts = [text.encode() for text in (place.table, place.column, place.row)]
    parts = [place.tenant.bytes, *texts]
    return _head(id) + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
