"""The one guarded way out for addresses that a tenant supplied.

A name is resolved once, every address it gives is checked, and the connection goes to a checked address: a
second look-up, which an attacker's name server could answer differently, never happens. TLS still proves the
name, since only the connection is pinned. What was permitted and refused is in `addresses.py`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import httpcore2
import httpx2
from typing_extensions import override

from metachat.foundation.addresses import (
    NoConnection,
    Policy,
    Resolver,
    Unreachable,
    check_form,
    system_resolver,
)
from metachat.foundation.bounded import BoundedStream, failures_named

__all__ = ["Fetched", "Limits", "Outbound", "Unreachable"]

REDIRECTS = {301, 302, 303, 307, 308}
# What may go along to another host; anything else could be a credential.
HARMLESS_HEADERS = {"accept", "accept-language", "user-agent"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may cost: decompressed bytes, seconds in all and for a connection, redirects."""

    bytes: int = 10 * 1024 * 1024
    seconds: float = 30.0
    connect_seconds: float = 5.0
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer, within the limits; `url` is where it came from after redirects."""

    status: int
    headers: httpx2.Headers
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

    def transport(self, limits: Limits | None = None) -> httpx2.AsyncBaseTransport:
        """Give a guarded transport for a client of someone else's making; it refuses redirects."""
        return FinalTransport(self._policy, limits or self._limits, self._trust)

    async def check(self, url: str) -> None:
        """Raise `Unreachable` when an address would be refused; for forms, before it is stored."""
        address = _parse(url)
        check_form(address)
        await self._policy.addresses(address.raw_host.decode("ascii"), _port(address))

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Fetched:
        """Call an address and follow its redirects, each checked anew, within the limits as a whole."""
        request = httpx2.Request(method, _parse(url), headers=headers, content=content)
        with failures_named():
            async with asyncio.timeout(self._limits.seconds):
                for _ in range(self._limits.redirects + 1):
                    fetched = await self._fetch(request)
                    location = fetched.headers.get("location")
                    if fetched.status not in REDIRECTS or location is None:
                        return fetched
                    request = _redirected(request, fetched.status, location)
        raise Unreachable("It redirects too often.", permanent=True)

    async def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Fetch an address."""
        return await self.request("GET", url, headers=headers)

    async def close(self) -> None:
        """Close the connections that are kept open."""
        if "_transport" in self.__dict__:
            await self._transport.aclose()

    @cached_property
    def _transport(self) -> "GuardedTransport":
        # Made on first use: a process that never calls out doesn't load the certificate authorities.
        return GuardedTransport(self._policy, self._limits, self._trust)

    async def _fetch(self, request: httpx2.Request) -> Fetched:
        response = await self._transport.handle_async_request(request)
        try:
            content = await response.aread()
        finally:
            await response.aclose()
        return Fetched(response.status_code, response.headers, content, str(request.url))


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Carries requests to checked addresses only, and caps the time and size of each answer."""

    def __init__(self, policy: Policy, limits: Limits, trust: ssl.SSLContext | None) -> None:
        """Open a pool whose every connection is made by the policy."""
        self._limits = limits
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trust or httpx2.create_ssl_context(trust_env=False),
            network_backend=PinnedBackend(policy),
            max_connections=100,
            keepalive_expiry=30,
        )

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the response's stream keeps to the limits."""
        check_form(request.url)
        assert isinstance(request.stream, AsyncIterable)
        deadline = asyncio.get_running_loop().time() + self._limits.seconds
        outgoing = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=_asking_for_plain(request.headers),
            content=request.stream,
            extensions={"timeout": self._timeouts(request)},
        )
        with failures_named():
            async with asyncio.timeout_at(deadline):
                response = await self._pool.handle_async_request(outgoing)
        return self._bounded(response, deadline)

    @override
    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()

    def _timeouts(self, request: httpx2.Request) -> dict[str, float | None]:
        given = request.extensions.get("timeout") or {}
        asked = given.get("connect")
        connect = self._limits.connect_seconds if asked is None else min(asked, self._limits.connect_seconds)
        return {**given, "connect": connect}

    def _bounded(self, response: httpcore2.Response, deadline: float) -> httpx2.Response:
        headers = httpx2.Headers(response.headers)
        encoding = headers.get("content-encoding", "identity").strip().lower()
        stream = BoundedStream(response, encoding, deadline, self._limits.bytes)
        if encoding != "identity":
            # The stream is already plain text by the time the client sees it.
            del headers["content-encoding"]
            headers.pop("content-length", None)
        return httpx2.Response(
            response.status, headers=headers, stream=stream, extensions={"http_version": b"HTTP/1.1"}
        )


class FinalTransport(GuardedTransport):
    """Refuses redirects: clients of others' making would carry their key header along to the new host."""

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request, and accept no redirect for an answer."""
        response = await super().handle_async_request(request)
        if response.status_code in REDIRECTS and "location" in response.headers:
            await response.aclose()
            raise Unreachable(
                "It redirects to another address; enter the final address instead.", permanent=True
            )
        return response


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that the policy has checked, by number, never by name."""

    def __init__(self, policy: Policy) -> None:
        """Keep the policy."""
        self._policy = policy
        self._network = cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Try the host's addresses in turn."""
        failure: Exception | None = None
        for address in await self._policy.addresses(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as refused:
                failure = refused
        raise NoConnection(f"{host} does not accept connections.") from failure

    @override
    async def sleep(self, seconds: float) -> None:
        """Pause between attempts."""
        await self._network.sleep(seconds)


def _parse(url: str) -> httpx2.URL:
    try:
        return httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise Unreachable("This is not a web address.", permanent=True) from error


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, _port(url)


def _asking_for_plain(headers: httpx2.Headers) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers.raw if name.lower() != b"accept-encoding"]
    return [*kept, (b"Accept-Encoding", b"identity")]


def _redirected(request: httpx2.Request, status: int, location: str) -> httpx2.Request:
    """Build the next request; credentials and content stay with the host they were meant for."""
    url = request.url.join(_parse(location))
    keeps_method = status in (307, 308) or request.method in ("GET", "HEAD")
    method = request.method if keeps_method else "GET"
    same_host = _origin(url) == _origin(request.url)
    if request.url.scheme == "https" and url.scheme != "https":
        raise Unreachable("It redirects from https to http.", permanent=True)
    content = request.content if keeps_method else b""
    if content and not same_host:
        raise Unreachable("It redirects what was sent to another host.", permanent=True)
    headers = {
        name: value
        for name, value in request.headers.items()
        if (same_host or name in HARMLESS_HEADERS)
        and name not in ("host", "content-length", "transfer-encoding")
        and (content or name != "content-type")
    }
    return httpx2.Request(method, url, headers=headers, content=content or None)
