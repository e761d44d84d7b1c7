"""The transport behind `outbound`: connections pinned to checked addresses, answers within limits."""

import asyncio
import ssl
from collections.abc import AsyncIterable, Iterable
from typing import cast

import httpcore2
import httpx2
from typing_extensions import override

from metachat.foundation.addresses import Limits, Policy, Unreachable, check_form
from metachat.foundation.bounded import BoundedStream, NoConnection, failures_named
from metachat.foundation.redirects import REDIRECTS, next_request, parse


async def follow(transport: "GuardedTransport", request: httpx2.Request, redirects: int) -> httpx2.Response:
    """Send a request and follow its redirects, each checked anew; the answer is read whole."""
    for _ in range(redirects + 1):
        response = await transport.handle_async_request(request)
        response.request = request
        try:
            await response.aread()
        finally:
            await response.aclose()
        location = response.headers.get("location")
        if response.status_code not in REDIRECTS or location is None:
            return response
        request = next_request(request, response.status_code, location)
    raise Unreachable("It redirects too often.", permanent=True)


def request_for(method: str, url: str, headers: Iterable[tuple[str, str]], content: bytes) -> httpx2.Request:
    """Build a request; raises Unreachable for what is no web address."""
    return httpx2.Request(method, parse(url), headers=list(headers), content=content or None)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Carries requests to checked addresses only, and caps the time and size of each answer."""

    def __init__(self, policy: Policy, limits: Limits, trust: ssl.SSLContext | None) -> None:
        """Open a pool whose every connection is made by the policy."""
        self._limits = limits
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trust or httpx2.create_ssl_context(trust_env=False),
            network_backend=PinnedBackend(policy),
            max_connections=limits.connections,
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
        for address in await self._addresses(host, port):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as refused:
                failure = refused
        raise NoConnection(f"{host} does not accept connections.") from failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            return await self._policy.addresses(host, port)
        except Unreachable as refusal:
            if refusal.permanent:
                raise
            raise NoConnection(str(refusal)) from refusal

    @override
    async def sleep(self, seconds: float) -> None:
        """Pause between attempts."""
        await self._network.sleep(seconds)


def _asking_for_plain(headers: httpx2.Headers) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers.raw if name.lower() != b"accept-encoding"]
    return [*kept, (b"Accept-Encoding", b"identity")]
