"""Meta's Graph API over HTTP: bounded in time and size, its connections kept, its token never shown."""

import email.utils
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from metachat.domain.channels.outgoing import NotSent
from metachat.domain.channels.whatsapp.remedies import judge

VERSION = "v23.0"

_ANSWER_LIMIT = 512 * 1024
_CONNECTIONS = 100
# Shorter than any server keeps a silent connection: one that it closes under our request leaves us unsure.
_KEPT_SECONDS = 4
_MEDIA_HOSTS = (".fbsbx.com", ".facebook.com", ".whatsapp.net", ".fbcdn.net")


class Graph:
    """One process's way to the Graph API, for every channel; raises NotSent for whatever goes wrong."""

    def __init__(
        self, url: str, *, patience: float = 15, detour: Callable[[str], str | None] = lambda token: None
    ) -> None:
        self._url, self._detour = url.rstrip("/"), detour
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    def address_for(self, token: str) -> str:
        """Where a token leads, without a slash at the end: a simulator's own leads to it."""
        return self._detour(token) or self._url

    async def get(self, token: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Read an object; the query must hold no secret that is worth more than the token itself."""
        return await self._ask("GET", path, token, params=dict(query or {}))

    async def post(self, token: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON."""
        data = msgspec.json.encode(body)
        return await self._ask("POST", path, token, data=data, headers={"content-type": "application/json"})

    async def upload(
        self, token: str, path: str, fields: Mapping[str, str], file: tuple[str, str, AsyncIterator[bytes]]
    ) -> dict[str, Any]:
        """Send a file (its name, its type, its bytes) as a form."""
        name, media_type, pieces = file
        form = aiohttp.FormData()
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", pieces, filename=name, content_type=media_type)
        patience = aiohttp.ClientTimeout(total=self._patience * 8, sock_connect=5)
        return await self._ask("POST", path, token, data=form, timeout=patience)

    @asynccontextmanager
    async def download(self, token: str, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open a file at an address that the API has named; only Meta's own hosts get the token."""
        self._must_be_metas(url, token)
        patience = aiohttp.ClientTimeout(total=self._patience * 8, sock_connect=5, sock_read=self._patience)
        async with self._open("GET", url, token, timeout=patience) as response:
            if response.status != 200:
                raise judge(response.status, await _answer(response), _asked_pause(response))
            yield response

    async def close(self) -> None:
        """Let go of every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(self, method: str, path: str, token: str, **options: Any) -> dict[str, Any]:
        address = f"{self.address_for(token)}/{VERSION}/{path.lstrip('/')}"
        async with self._open(method, address, token, **options) as response:
            answer = await _answer(response)
            if response.status != 200 or not isinstance(answer, dict) or "error" in answer:
                raise judge(response.status, answer, _asked_pause(response))
            return answer

    @asynccontextmanager
    async def _open(
        self, method: str, address: str, token: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if not token or not token.isascii() or not token.isprintable():
            reason = "This channel has no usable access token; enter one."
            raise NotSent("tell", reason, concerns="channel", cause="token")
        headers = {**options.pop("headers", {}), "authorization": f"Bearer {token}"}
        try:
            async with self._opened().request(
                method, address, headers=headers, allow_redirects=False, **options
            ) as response:
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise NotSent("retry", f"WhatsApp cannot be reached ({type(error).__name__}).") from None
        except TimeoutError:
            raise NotSent("retry", "WhatsApp did not answer in time.", unsure=True) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            reason = f"The connection to WhatsApp broke ({type(error).__name__})."
            raise NotSent("retry", reason, unsure=True) from None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_CONNECTIONS, keepalive_timeout=_KEPT_SECONDS, ttl_dns_cache=60
                ),
                timeout=aiohttp.ClientTimeout(total=self._patience, sock_connect=5),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "metachat"},
                max_line_size=16_384,
                max_field_size=16_384,
            )
        return self._session

    def _must_be_metas(self, url: str, token: str) -> None:
        given, ours = urlsplit(url), urlsplit(self.address_for(token))
        if (given.scheme, given.netloc) == (ours.scheme, ours.netloc):
            return
        if given.scheme != "https" or not f".{given.hostname or ''}".endswith(_MEDIA_HOSTS):
            raise NotSent("give_up", "WhatsApp named an address for the file that is not Meta's.")


async def _answer(response: aiohttp.ClientResponse) -> Any:
    """Gives an answer's JSON; None for what is none, or is too long to be one."""
    body = bytearray()
    async for piece in response.content.iter_chunked(16_384):
        body += piece
        if len(body) > _ANSWER_LIMIT:
            response.close()
            return None
    try:
        return msgspec.json.decode(bytes(body))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _asked_pause(response: aiohttp.ClientResponse) -> float | None:
    given = response.headers.get("retry-after", "")
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time()) if given else None
    except (ValueError, OverflowError):
        return None
