"""age encryption (age-encryption.org), typed: keys are text, as in their files."""

import contextlib
import importlib
from collections.abc import Iterable
from typing import Any

from metachat.foundation.settings import Secret

# The library brings no types of its own.
_pyrage: Any = importlib.import_module("pyrage")


class NotOpened(ValueError):
    """The key or the passphrase does not open this, or it was altered."""


def new_identity() -> Secret:
    """Make a private key: AGE-SECRET-KEY-1..."""
    return Secret(str(_pyrage.x25519.Identity.generate()))


def public(identity: Secret) -> str:
    """Tell a private key's public key: age1...; raises NotOpened when it is none."""
    return str(_identity(identity).to_public())


def recipient(text: str) -> str | None:
    """Return a public key as it is written; None when it is none."""
    with contextlib.suppress(_pyrage.RecipientError):
        return str(_pyrage.x25519.Recipient.from_str(text.strip()))
    return None


def is_identity(text: Secret) -> bool:
    """Whether a text is meant to be a private key, not a passphrase."""
    return text.reveal().startswith("AGE-SECRET-KEY-")


def encrypt(plain: bytes, recipients: Iterable[str]) -> bytes:
    """Encrypt to public keys; binary."""
    return bytes(_pyrage.encrypt(plain, [_pyrage.x25519.Recipient.from_str(one) for one in recipients]))


def decrypt(content: bytes, identity: Secret) -> bytes:
    """Decrypt with a private key; raises NotOpened."""
    try:
        return bytes(_pyrage.decrypt(content, [_identity(identity)]))
    except _pyrage.DecryptError as error:
        raise NotOpened(str(error)) from error


def encrypt_stream(source: Any, sink: Any, recipients: Iterable[str]) -> None:
    """Encrypt what is read from one into what is written to the other, in a few kilobytes of memory."""
    _pyrage.encrypt_io(source, sink, [_pyrage.x25519.Recipient.from_str(one) for one in recipients])


def decrypt_stream(source: Any, sink: Any, identity: Secret) -> None:
    """Decrypt what is read from one into what is written to the other; raises NotOpened.

    What is written before an error is what was encrypted: each block is proven before it is written.
    """
    try:
        _pyrage.decrypt_io(source, sink, [_identity(identity)])
    except _pyrage.DecryptError as error:
        raise NotOpened(str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise  # of the file or pipe that is written to
        raise NotOpened(str(error)) from error


def lock(plain: bytes, passphrase: Secret) -> bytes:
    """Encrypt under a passphrase; takes a second or two on purpose."""
    return bytes(_pyrage.passphrase.encrypt(plain, passphrase.reveal()))


def unlock(content: bytes, passphrase: Secret) -> bytes:
    """Decrypt what `lock` made; raises NotOpened."""
    try:
        return bytes(_pyrage.passphrase.decrypt(content, passphrase.reveal()))
    except _pyrage.DecryptError as error:
        raise NotOpened(str(error)) from error


def _identity(identity: Secret) -> Any:
    try:
        return _pyrage.x25519.Identity.from_str(identity.reveal())
    except _pyrage.IdentityError as error:
        raise NotOpened("not a private key of age") from error
