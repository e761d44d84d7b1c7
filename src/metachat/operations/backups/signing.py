"""Who made a backup: this installation's own key, which opens its backups and signs their manifests.

`backup.identity` in the data folder is an age identity; the key that signs is derived from it, so that there
is one file to keep. The recovery key of the safe opens backups too, but signs none.
"""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from metachat.foundation.settings import Secret
from metachat.operations.backups.contract import KeyMissing
from metachat.operations.secrets import StoreRefusal, identities

FILE = "backup.identity"
_PURPOSE = b"metachat backup signature 1\0"


def ensure_identity(data: Path) -> Secret:
    """Read this installation's key, made at the first backup."""
    path = data / FILE
    if not path.exists():
        identities.make(path)
    return load_identity(path)


def load_identity(path: Path) -> Secret:
    """Read a key; raises KeyMissing."""
    try:
        return identities.load(path)
    except StoreRefusal as error:
        raise KeyMissing(error.found, error.fix) from error


def sign(identity: Secret, content: bytes) -> str:
    """Sign for others to check."""
    return _private(identity).sign(content).hex()


def signer(identity: Secret) -> str:
    """The public half of the key that signs; may be shown."""
    return _private(identity).public_key().public_bytes_raw().hex()


def holds(signer: str, signature: str, content: bytes) -> bool:
    """Whether a signature is this signer's, for this content."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _private(identity: Secret) -> Ed25519PrivateKey:
    seed = hashlib.sha256(_PURPOSE + identity.reveal().encode()).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)
