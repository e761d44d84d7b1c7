"""Names of keys that tell them apart and tell nothing of them."""

import hashlib


def fingerprint(key: str) -> str:
    """Tell keys apart without showing them: 64 bits of a hash that serves nothing else.

    For random keys of 256 bits only: of a word that people choose, it would let anyone check guesses.
    """
    return hashlib.sha256(b"metachat:fingerprint:v1:" + key.encode()).hexdigest()[:16]
