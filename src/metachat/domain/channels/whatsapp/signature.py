"""Who really sends a webhook of the WhatsApp Cloud API."""

import hmac
from collections.abc import Mapping

from metachat.foundation.crypto import same
from metachat.foundation.errors import Kind, Refusal

HEADER = b"x-hub-signature-256"
_SCHEME = "sha256="


class SignatureMissing(Refusal):
    """This webhook carries no signature."""

    code, kind = "signature_missing", Kind.UNAUTHENTICATED


class SignatureWrong(Refusal):
    """This webhook is not signed by the channel's app."""

    code, kind = "signature_wrong", Kind.FORBIDDEN


class HandshakeRefused(Refusal):
    """The verify token is not the channel's."""

    code, kind = "handshake_refused", Kind.FORBIDDEN


def sign(app_secret: str, body: bytes) -> str:
    """Sign as Meta does: HMAC-SHA256 of the raw bytes under the app's secret."""
    return _SCHEME + hmac.digest(app_secret.encode(), body, "sha256").hex()


def verify(headers: Mapping[bytes, bytes], body: bytes, app_secret: str) -> None:
    """Raise SignatureMissing or SignatureWrong unless the channel's app signed these very bytes."""
    given = headers.get(HEADER, b"")
    if not given:
        raise SignatureMissing
    # A channel without a secret believes nobody: an empty key would be a secret that everybody knows.
    expected = sign(app_secret, body)
    if not app_secret or not hmac.compare_digest(given, expected.encode()):
        raise SignatureWrong


def challenge(query: Mapping[str, str], verify_token: str) -> str:
    """Answer the handshake by which Meta makes sure of this address; raises HandshakeRefused."""
    token = query.get("hub.verify_token", "")
    known = bool(verify_token) and same(token, verify_token)
    if query.get("hub.mode") != "subscribe" or not known or not query.get("hub.challenge"):
        raise HandshakeRefused
    return query["hub.challenge"]
