"""Which network addresses may be called: the rules behind `outbound`."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias

from metachat.foundation.errors import Kind, Refusal

if TYPE_CHECKING:
    import httpx2

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
# Turns a name and a port into addresses, as text; OSError when it can't.
Resolver: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

# Ports of the public internet that may be called; in permitted networks any port.
PUBLIC_PORTS = frozenset({80, 443, 8080, 8443})

NEVER_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, and the clouds' metadata
        "168.63.129.16/32",  # a cloud's own services behind a public-looking address
        "192.0.0.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  # protocol use, documentation
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",  # benchmarks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)  # fmt: skip

# IPv6 that is public at all, and what lies within it but carries an IPv4 address or is documentation.
PUBLIC_IPV6 = ip_network("2000::/3")
NEVER_PUBLIC_IPV6: tuple[Network, ...] = tuple(
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)
# Forms that carry an IPv4 address, where a permitted network could be named in disguise.
DISGUISED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
    )
)


class Unreachable(Refusal):
    """The address cannot be reached."""

    code = "unreachable"
    kind = Kind.UNAVAILABLE

    def __init__(self, detail: str, *, permanent: bool) -> None:
        """Say why, and whether trying again is pointless until someone changes something."""
        super().__init__(detail, permanent=permanent)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost: decompressed bytes, seconds in all and for a connection, redirects.

    connections bounds how many calls go on at a time.
    """

    bytes: int = 10 * 1024 * 1024
    seconds: float = 30.0
    connect_seconds: float = 5.0
    redirects: int = 5
    connections: int = 100


async def system_resolver(host: str, port: int) -> list[str]:
    """Ask the machine's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class Policy:
    """Decides where a connection may go."""

    permitted: tuple[Network, ...]
    resolve: Resolver

    @classmethod
    def permitting(cls, networks: Iterable[str], resolve: Resolver) -> "Policy":
        """Permit private networks by name, such as 127.0.0.0/8."""
        return cls(tuple(ip_network(network) for network in networks), resolve)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a host once and return its addresses, all of them checked."""
        literal = literal_address(host)
        found = [literal] if literal else await self._resolved(host, port)
        for address in found:
            self._check(host, address, port)
        return [str(address) for address in found]

    async def _resolved(self, host: str, port: int) -> list[Address]:
        try:
            answers = await self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"The name {host} is not known.", permanent=False) from error
        addresses = [address for address in map(_address, dict.fromkeys(answers)) if address]
        if not addresses:
            raise Unreachable(f"The name {host} has no address.", permanent=False)
        return addresses

    def _check(self, host: str, address: Address, port: int) -> None:
        if self._is_permitted(address):
            return
        if not is_public(address):
            raise Unreachable(f"{host} lies in a private or reserved network.", permanent=True)
        if port not in PUBLIC_PORTS:
            raise Unreachable(f"Port {port} is not one of those that may be called.", permanent=True)

    def _is_permitted(self, address: Address) -> bool:
        return not _within(address, DISGUISED) and _within(address, self.permitted)


def is_public(address: Address) -> bool:
    """Tell whether an address is an ordinary one of the public internet."""
    if isinstance(address, IPv6Address):
        return address in PUBLIC_IPV6 and not _within(address, NEVER_PUBLIC_IPV6) and address.is_global
    return not _within(address, NEVER_PUBLIC) and address.is_global


def check_form(url: "httpx2.URL") -> None:
    """Refuse what is no plain web address, before any name is looked up."""
    if url.scheme not in ("http", "https"):
        raise Unreachable("Only http and https addresses can be called.", permanent=True)
    if url.userinfo:
        raise Unreachable("An address must not carry a user name or password.", permanent=True)
    if url.port is not None and not 0 < url.port < 65536:
        raise Unreachable(f"There is no port {url.port}.", permanent=True)
    literal_address(url.raw_host.decode("ascii"))


def literal_address(host: str) -> Address | None:
    """Read a host that is an IP address; None for a name, a refusal for odd spellings of a number.

    127.1, 2130706433, 0177.0.0.1 and 0x7f.1 all mean 127.0.0.1 to a resolver, but to no honest user.
    """
    if not host or "%" in host:
        raise Unreachable("This is not a web address.", permanent=True)
    address = _address(host)
    last = host.rstrip(".").rpartition(".")[2].lower()
    if address is None and (last.isdigit() or last.startswith("0x") or ":" in host):
        raise Unreachable("Write the IP address in its usual form, such as 192.0.2.1.", permanent=True)
    return address


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
