"""What Postgres keeps of a password (RFC 5803), made here, so that no statement ever holds the password."""

import base64
import hashlib
import hmac
import secrets

# As many as Postgres itself takes by default.
_ROUNDS = 4096


def verifier(password: str, salt: bytes | None = None) -> str:
    """Make the SCRAM-SHA-256 verifier of a password of ASCII characters."""
    salt = salt or secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ROUNDS}:{salt64}${stored64}:{server64}"
