"""What production refuses: one rule a function, which raises Fault.

A rule's docstring says what it refuses, in the reference too.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from metachat.foundation.settings import addresses
from metachat.foundation.settings.addresses import ServiceAddress
from metachat.foundation.settings.declaration import Rule
from metachat.foundation.settings.parsing import listed
from metachat.foundation.settings.problems import Fault
from metachat.foundation.settings.rings import keys_in
from metachat.foundation.settings.strength import (
    DEFAULT_PASSWORDS,
    KEY_BYTES,
    is_guessable,
    is_placeholder,
)

_NEW_KEY = "Make one with `metachat secrets generate`, or with: openssl rand -base64 48"
_NEW_PASSWORD = "Give the account a random password, say from: openssl rand -hex 24"  # noqa: S105


def strong_key(text: str) -> None:
    """A placeholder, a key under 32 bytes, or one that can be guessed."""
    if is_placeholder(text):
        raise Fault("is a placeholder", fix=_NEW_KEY)
    if len(text.encode()) < KEY_BYTES:
        raise Fault(f"is shorter than {KEY_BYTES} bytes", fix=_NEW_KEY)
    if is_guessable(text):
        raise Fault("has low entropy: it repeats itself, is made of words or of few characters", fix=_NEW_KEY)


def strong_keys(text: str) -> None:
    """A placeholder, a key under 32 bytes, or one that can be guessed; in a ring of keys too."""
    for key in keys_in(text):
        strong_key(key)


def kept_apart(text: str) -> None:
    """The environment, which every child process and many a crash report has."""
    if text.startswith("env:"):
        raise Fault("is for development only", "a store apart from the environment")


def real_secret(text: str) -> None:
    """A placeholder, or a password that is widely known."""
    if is_placeholder(text) or text.lower() in DEFAULT_PASSWORDS:
        raise Fault("is a placeholder or a default", "a secret of your own", _NEW_PASSWORD)


def https(text: str) -> None:
    """Anything but https://."""
    if urlsplit(text).scheme.lower() != "https":
        raise Fault(
            "is not HTTPS", "an https:// address", "Put a proxy with TLS in front, and name its address."
        )


def https_or_loopback(text: str) -> None:
    """Plain http://, unless to this machine."""
    parts = urlsplit(text)
    if parts.scheme.lower() != "https" and not _is_loopback(parts.hostname or ""):
        raise Fault("sends tokens without TLS", "an https:// address", "Name the address with https://.")


def named_origins(text: str) -> None:
    """The origin `*`."""
    if "*" in listed(text):
        raise Fault(
            "lets every web site in (*)", "origins by name", "List the origins that may call the API."
        )


def some_networks(text: str) -> None:
    """A network that holds every address."""
    for part in listed(text):
        try:
            everything = ip_network(part).prefixlen == 0
        except ValueError:
            return  # malformed, which is told elsewhere
        if everything:
            raise Fault(
                "permits every address", "single private networks", "List what is needed, not 0.0.0.0/0."
            )


def switched_off(text: str) -> None:
    """Anything but false."""
    if text.lower() in ("true", "1", "yes", "on"):
        raise Fault("is on in production", "false", "Leave it out, or set it to false.")


def _password(service: str, take_apart: Callable[[str], ServiceAddress]) -> Rule:
    def rule(text: str) -> None:
        try:
            address = take_apart(text)
        except Fault:
            return  # malformed, which is told elsewhere
        password = address.password or address.query.get("password", "")
        expected = f"a password of its own for {service}"
        if not password and address.hosts:
            # On a Unix socket the system itself says who comes (peer authentication).
            raise Fault(f"has no password for {service}", expected, _NEW_PASSWORD)
        if password and _is_default(password, address.user):
            raise Fault(f"has a default or placeholder password for {service}", expected, _NEW_PASSWORD)

    rule.__doc__ = f"An empty, default or placeholder password of {service}, on this machine too."
    return rule


postgres_password = _password("Postgres", addresses.postgres)
redis_password = _password("Redis", addresses.redis)
rabbitmq_password = _password("RabbitMQ", addresses.rabbitmq)


def _is_default(password: str, user: str) -> bool:
    plain = password.lower()
    # What is hung on to please a rule: password2024!
    bare = plain.rstrip("0123456789!?.-_#$*")
    return bool({plain, bare} & {*DEFAULT_PASSWORDS, user.lower() or "default"}) or is_placeholder(password)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
