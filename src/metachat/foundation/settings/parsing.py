"""The forms in which values are written."""

import re
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from metachat.foundation.settings import addresses, rings
from metachat.foundation.settings.addresses import ServiceAddress
from metachat.foundation.settings.declaration import Form
from metachat.foundation.settings.problems import Fault
from metachat.foundation.settings.secret import Secret
from metachat.foundation.settings.strength import KEY_BYTES

_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_MAILBOX = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_FLAGS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}

TEXT = Form(str, "a name", {"type": "string"})
PATH = Form(Path, "a path", {"type": "string", "minLength": 1})


def number(low: int, high: int) -> Form:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    schema = {"type": ["integer", "string"], "minimum": low, "maximum": high, "pattern": "^[0-9]{1,9}$"}
    return Form(parse, f"{low} to {high}", schema)


def one_of(*choices: str) -> Form:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError
        return text

    return Form(parse, f"{', '.join(choices[:-1])} or {choices[-1]}", {"enum": list(choices)})


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError
    return _FLAGS[text.lower()]


FLAG = Form(_flag, "true or false", {"enum": [True, False, *_FLAGS]})


def _key(text: str) -> Secret:
    if len(text.encode()) < KEY_BYTES:
        raise Fault(f"is shorter than {KEY_BYTES} bytes")
    return Secret(text)


def _ring(text: str) -> Secret:
    rings.long_enough(text)
    return Secret(text)


KEYRING = Form(_ring, f"at least {KEY_BYTES} random bytes", {"type": "string", "minLength": KEY_BYTES})
KEY = Form(_key, f"at least {KEY_BYTES} random bytes", {"type": "string", "minLength": KEY_BYTES})
_STORES = "age|file|systemd|vault|ssm|secretsmanager|doppler|env"


def _secrets_store(text: str) -> str:
    if not re.match(f"({_STORES}):", text):
        raise ValueError
    return text


SECRETS_STORE = Form(
    _secrets_store,
    "age:FILE, file:FILE, systemd:, vault:URL, ssm:REGION/PREFIX, secretsmanager:REGION/PREFIX,"
    " doppler:PROJECT/CONFIG or env:",
    {"type": "string", "pattern": f"^({_STORES}):"},
)

_TARGET = r"|(dir:/|s3:[A-Za-z0-9]).*"
_KEEP = r"[0-9]{1,3} (daily|weekly|monthly)( [0-9]{1,3} (daily|weekly|monthly)){0,2}"


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return parse


BACKUP_TARGET = Form(
    _matching(_TARGET), "dir:/FOLDER or s3:BUCKET/PREFIX?endpoint=URL",
    {"type": "string", "pattern": f"^({_TARGET})$"},
)  # fmt: skip
BACKUP_KEEP = Form(
    _matching(_KEEP), "numbers of daily, weekly and monthly ones", {"type": "string", "pattern": f"^{_KEEP}$"}
)

SECRET_TEXT = Form(Secret, "a key or password", {"type": "string"})


def _web_address(text: str) -> str:
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _is_host(parts.hostname):
        raise ValueError
    if "@" in parts.netloc:
        raise Fault("holds a user name or password")
    if parts.query or parts.fragment:
        raise Fault("has a part behind '?' or '#'")
    return text.rstrip("/")


WEB_ADDRESS = Form(
    _web_address, "an http:// or https:// address", {"type": "string", "pattern": "^https?://[^\\s@?#]+$"}
)


def _host(text: str) -> str:
    if not _is_host(text):
        raise ValueError
    return text


HOST = Form(_host, "a host name or address", {"type": "string", "pattern": "^[A-Za-z0-9._:-]+$"})


def _mailbox(text: str) -> str:
    address = re.fullmatch(r"[^<>@]*<([^<>]+)>", text)
    if not _MAILBOX.fullmatch(address[1] if address else text):
        raise ValueError
    return text


MAILBOX = Form(_mailbox, "an e-mail address", {"type": "string", "pattern": "@"})


def _networks(text: str) -> tuple[str, ...]:
    return tuple(str(ip_network(part)) for part in listed(text))


NETWORKS = Form(_networks, "networks like 127.0.0.0/8, separated by commas", {"type": "string"})


def _origins(text: str) -> tuple[str, ...]:
    return tuple(_origin(part) for part in listed(text))


def _origin(text: str) -> str:
    if text == "*":
        return text
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not _is_host(parts.hostname):
        raise ValueError
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        raise Fault("has an entry that is more than scheme, host and port")
    return text.lower()


ORIGINS = Form(_origins, "origins like https://shop.example.com, separated by commas", {"type": "string"})


def _service(take_apart: Callable[[str], ServiceAddress], shape: str, pattern: str) -> Form:
    def parse(text: str) -> Secret:
        take_apart(text)
        return Secret(text)

    return Form(parse, f"a URL {shape}", {"type": "string", "pattern": pattern})


POSTGRES = _service(addresses.postgres, "postgresql://role:your-password@host/database", "^postgres(ql)?://")
REDIS = _service(addresses.redis, "redis://:your-password@host:6379/0, or rediss:// for TLS", "^rediss?://")
RABBITMQ = _service(
    addresses.rabbitmq, "amqp://user:your-password@host:5672/vhost, or amqps:// for TLS", "^amqps?://"
)


def listed(text: str) -> list[str]:
    """The parts of a list that commas separate."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _split(text: str) -> SplitResult:
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError
    parts = urlsplit(text)
    if parts.port == 0:  # asking for the port also raises ValueError for one that is no number
        raise ValueError
    return parts


def _is_host(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        # Digits and dots only are an address, and a wrong one.
        return bool(_HOST_NAME.fullmatch(text)) and not re.fullmatch(r"[0-9.]+", text) and len(text) <= 253
    return True
