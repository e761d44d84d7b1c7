"""The one guarded way out for addresses that a tenant supplied.

A name is resolved once, every address it gives is checked, and the connection goes to a checked address: a
second look-up, which an attacker's name server could answer differently, never happens. TLS still proves the
name, since only the connection is pinned. `addresses.py` has the rules, `pinned.py` the transport.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from metachat.foundation.addresses import Limits, Policy, Resolver, Unreachable, check_form, system_resolver

if TYPE_CHECKING:
    import httpx2

    from metachat.foundation.pinned import GuardedTransport

__all__ = ["Fetched", "Limits", "Outbound", "Unreachable"]

# The HTTP library is imported where it is used: the api processes hold an Outbound and seldom call out.
# ruff: noqa: PLC0415


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer, within the limits; header names in lower case, url after redirects."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    url: str


class Outbound:
    """Calls addresses that tenants supplied; private ones only where the operator permits the network."""

    def __init__(
        self,
        *,
        allowed_networks: Iterable[str] = (),
        limits: Limits | None = None,
        resolve: Resolver = system_resolver,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """Set the policy; None trusts the usual certificate authorities."""
        self._policy = Policy.permitting(allowed_networks, resolve)
        self._limits = limits or Limits()
        self._trust = trust

    def transport(self, limits: Limits | None = None) -> "httpx2.AsyncBaseTransport":
        """Give a guarded transport for a client of someone else's making; it refuses redirects."""
        from metachat.foundation.pinned import FinalTransport

        return FinalTransport(self._policy, limits or self._limits, self._trust)

    async def check(self, url: str) -> None:
        """Raise `Unreachable` when an address would be refused; for forms, before it is stored."""
        from metachat.foundation import redirects

        address = redirects.parse(url)
        check_form(address)
        await self._policy.addresses(address.raw_host.decode("ascii"), redirects.port(address))

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Fetched:
        """Call an address and follow its redirects, each checked anew, within the limits as a whole."""
        from metachat.foundation import bounded, pinned

        request = pinned.request_for(method, url, (headers or {}).items(), content or b"")
        with bounded.failures_named():
            async with asyncio.timeout(self._limits.seconds):
                response = await pinned.follow(self._transport, request, self._limits.redirects)
        return Fetched(response.status_code, dict(response.headers), response.content, str(response.url))

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Fetch an address."""
        return await self.request("GET", url, headers=headers)

    async def close(self) -> None:
        """Close the connections that are kept open."""
        if "_transport" in self.__dict__:
            await self._transport.aclose()

    @cached_property
    def _transport(self) -> "GuardedTransport":
        from metachat.foundation.pinned import GuardedTransport

        return GuardedTransport(self._policy, self._limits, self._trust)
