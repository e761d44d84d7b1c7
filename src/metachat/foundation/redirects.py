"""Redirects, followed by hand: where to go next, and what may go along."""

import httpx2

from metachat.foundation.addresses import Unreachable

REDIRECTS = {301, 302, 303, 307, 308}
# What may go along to another host; anything else could be a credential.
HARMLESS_HEADERS = {"accept", "accept-language", "user-agent"}


def next_request(request: httpx2.Request, status: int, location: str) -> httpx2.Request:
    """Build the next request; credentials and content stay with the host they were meant for."""
    url = parse(location, request.url)
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


def parse(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Read an address, relative to another when given; raises Unreachable."""
    try:
        return base.join(text) if base else httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise Unreachable("This is not a web address.", permanent=True) from error


def port(url: httpx2.URL) -> int:
    """The port of an address, given or meant."""
    return url.port or (443 if url.scheme == "https" else 80)


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, port(url)
