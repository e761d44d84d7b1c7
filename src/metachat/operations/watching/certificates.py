"""The certificate that a site serves, as whoever connects sees it: renewed is not yet loaded."""

import socket
import ssl
from urllib.parse import urlsplit

from cryptography import x509

_PATIENCE_SECONDS = 5.0


def served_until(address: str, patience: float = _PATIENCE_SECONDS) -> float | None:
    """Until when the certificate is good, in seconds since 1970; None where the address has no TLS.

    Raises OSError. Whether it is trusted is for browsers, and for the probe of health, to say.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((parts.hostname, parts.port or 443), patience) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname) as connection,
    ):
        served = connection.getpeercert(binary_form=True)
    if served is None:
        return None
    return x509.load_der_x509_certificate(served).not_valid_after_utc.timestamp()
