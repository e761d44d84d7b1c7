"""Tokens that are stored only as hashes, and authenticated encryption."""

import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class SealBroken(ValueError):
    """A sealed value was altered, moved to another place, or sealed under another key."""


def new_token(prefix: str = "") -> str:
    """Make a token of 256 random bits, URL-safe, after a prefix that tells its purpose."""
    return prefix + secrets.token_urlsafe(32)


def token_hash(token: str, pepper: bytes) -> str:
    """Hash a token for storage: HMAC-SHA256 under the pepper, hex."""
    return hmac.new(pepper, token.encode(), hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(left.encode(), right.encode())


def seal(key: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    """Encrypt with AES-256-GCM, bound to what it belongs to; nonce first, then ciphertext."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(_key_of_32_bytes(key)).encrypt(nonce, plaintext, bound_to)


def unseal(key: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    """Decrypt what `seal` made, bound to the same; raises SealBroken."""
    nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(_key_of_32_bytes(key)).decrypt(nonce, ciphertext, bound_to)
    except (InvalidTag, ValueError) as error:
        raise SealBroken("the value does not decrypt here") from error


def _key_of_32_bytes(key: bytes) -> bytes:
    # The configured key is text of any length >= 32; the cipher wants exactly 32 bytes.
    return hashlib.sha256(b"metachat:seal:" + key).digest()
