"""Addresses of services with credentials in them, taken apart without ever repeating them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import parse_qsl, unquote

from metachat.foundation.settings.problems import Fault

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

POSTGRES = {"postgresql": 5432, "postgres": 5432}
REDIS = {"redis": 6379, "rediss": 6379}
RABBITMQ = {"amqp": 5672, "amqps": 5671}


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """A service's address taken apart; `hosts` is empty for a Unix socket."""

    scheme: str
    user: str
    password: str = field(repr=False)
    hosts: tuple[tuple[str, int], ...]
    path: str
    query: Mapping[str, str]

    @property
    def encrypted(self) -> bool:
        """Whether the scheme asks for TLS from the first byte."""
        return self.scheme in ("rediss", "amqps")

    @property
    def place(self) -> str:
        """Where it is, without who comes: `host:port`, or the folder of the socket."""
        named = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts]
        return ", ".join(named) or self.query.get("host", "the local socket")


def postgres(text: str) -> ServiceAddress:
    """Take the address of a Postgres database apart; raises Fault."""
    address = _split(text, POSTGRES)
    if not address.path:
        raise Fault("names no database")
    if address.query.get("sslmode", "prefer") not in _SSL_MODES:
        raise Fault(f"has an unknown sslmode; known are {', '.join(_SSL_MODES)}")
    inside = address.query.get("host", "")
    if inside and not inside.startswith("/"):
        port = _port(address.query.get("port", "5432"))
        return ServiceAddress(
            address.scheme,
            address.user,
            address.password,
            ((_host(inside), port),),
            address.path,
            address.query,
        )
    return address


def redis(text: str) -> ServiceAddress:
    """Take the address of a Redis or Valkey server apart; raises Fault."""
    address = _split(text, REDIS)
    _one_host(address)
    if address.path and not address.path.isdecimal():
        raise Fault("names a database that is no number")
    return address


def rabbitmq(text: str) -> ServiceAddress:
    """Take the address of a RabbitMQ broker apart; raises Fault."""
    address = _split(text, RABBITMQ)
    _one_host(address)
    if "/" in address.path:
        raise Fault("has a '/' in its virtual host; write it as %2F")
    return address


def _split(text: str, schemes: Mapping[str, int]) -> ServiceAddress:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in schemes:
        raise Fault(f"does not begin with {' or '.join(f'{known}://' for known in schemes)}")
    if any(letter.isspace() or not letter.isprintable() for letter in rest):
        raise Fault("holds spaces or control characters")
    if "${" in rest or "{{" in rest:
        raise Fault("holds a ${...} that nothing has filled in")
    authority, tail = _cut(rest)
    if "@" in tail or "#" in rest or _BAD_PERCENT.search(rest) or authority.count("@") > 1:
        raise Fault(
            "has special characters in its password", fix="Percent-encode them: @ is %40, / is %2F, # is %23."
        )
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    path, _, query = tail.partition("?")
    return ServiceAddress(
        scheme, unquote(user), unquote(password), _hosts(hosts, schemes[scheme]),
        path.removeprefix("/"), dict(parse_qsl(query, keep_blank_values=True)),
    )  # fmt: skip


def _cut(rest: str) -> tuple[str, str]:
    end = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
    return rest[:end], rest[end:]


def _hosts(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    if not text:
        return ()
    return tuple(_host_and_port(part, default_port) for part in text.split(","))


def _host_and_port(text: str, default_port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        try:
            IPv6Address(host if closed else "")
        except ValueError:
            raise Fault("names no valid IPv6 address in its brackets") from None
        if rest and not rest.startswith(":"):
            raise Fault("has something other than a port after its host")
        return host, _port(rest[1:]) if rest else default_port
    host, colon, port = text.partition(":")
    return _host(host), _port(port) if colon else default_port


def _host(text: str) -> str:
    if not _HOST.fullmatch(text) or len(text) > 253:
        raise Fault("names no valid host")
    return text


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise Fault("has a port that is no number from 1 to 65535")
    return int(text)


def _one_host(address: ServiceAddress) -> None:
    if len(address.hosts) != 1:
        raise Fault("names no host" if not address.hosts else "names more than one host")
