"""The public door of the web chat: its addresses, who may come in, and how errors leave."""

import re
from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from metachat.domain.channels import Channel, ChannelNotFound
from metachat.domain.channels.webchat import admits
from metachat.foundation.db import Database
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId
from metachat.foundation.rates import Rate, Rates
from metachat.foundation.realtime import Listens
from metachat.foundation.settings import Secret, Settings
from metachat.web.chat import handlers, http
from metachat.web.chat.doorway import Doorway
from metachat.web.chat.http import AsgiScope, Receive, Request, Response, Send
from metachat.web.chat.limits import Limits
from metachat.web.limited import of_addresses

Handler = Callable[[Doorway, Channel, Request], Awaitable[Response]]

_ADDRESS = re.compile(r"(?:/chat)?/([0-9a-fA-F-]{36})/([a-z-]+)(?:/(\d{1,18}))?")
_HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "look"): handlers.show_look,
    ("POST", "sessions"): handlers.begin_session,
    ("POST", "messages"): handlers.take_message,
    ("GET", "messages"): handlers.show_messages,
    ("POST", "hand-off"): handlers.ask_for_person,
    ("GET", "passages"): handlers.show_passage,
}
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"authorization, content-type, last-event-id"),
    (b"access-control-max-age", b"7200"),
)
_EXPOSED = (b"access-control-expose-headers", b"retry-after, ratelimit, ratelimit-policy")
_UNLIMITED = Rate(1e9, 1e9)
Headers = tuple[tuple[bytes, bytes], ...]


class OriginRefused(Refusal):
    """This page may not hold this chat; its address is missing from the channel's allowed origins."""

    code, kind = "origin_not_allowed", Kind.FORBIDDEN


class Opened(Protocol):
    """What the door needs of the platform."""

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        ...

    @property
    def database(self) -> Database:
        """The database of this process."""
        ...

    @property
    def listener(self) -> Listens:
        """The realtime news of this process."""
        ...

    @property
    def rates(self) -> Rates:
        """The limits that this process shares with others."""
        ...


def door(platform: Opened) -> "ChatDoor":
    """Open the chat's door on a platform."""
    secret = platform.settings.session_secret
    assert secret is not None, "an api process has one"
    limits = Limits(requests_per_address=of_addresses(platform.settings) or _UNLIMITED)
    return ChatDoor(platform.database, platform.listener, secret, limits, platform.rates)


class ChatDoor:
    """The ASGI application behind /chat."""

    def __init__(
        self,
        database: Database,
        listener: Listens,
        secret: Secret,
        limits: Limits | None = None,
        rates: Rates | None = None,
    ) -> None:
        rates = rates or Rates(database, secret.reveal().encode())
        self._doorway = Doorway(database, listener, secret, limits or Limits(), rates)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve one exchange."""
        address = _ADDRESS.fullmatch(scope["path"])
        place = address.group(2) if address else "unknown"
        request = http.request_of(scope, receive, address.group(3) if address else None)
        cors: Headers = ()
        try:
            self._doorway.count_request(request)
            if address is None:
                raise http.NotFound
            channel, cors = await self._let_in(request, address.group(1))
            scope["path_template"] = f"/chat/{{channel}}/{place}"
            if (request.method, place) == ("GET", "events"):
                await handlers.stream_events(self._doorway, channel, request, send, cors)
                return
            response = await self._answer(channel, request, place)
        except Refusal as refusal:
            response = http.refused(refusal, scope["path"])
        except http.ClientGone:
            return
        await http.send_response(send, response, cors)

    async def _let_in(self, request: Request, channel_id: str) -> tuple[Channel, Headers]:
        try:
            channel, settings = await self._doorway.channel(ChannelId(UUID(channel_id)))
        except ValueError as error:
            raise ChannelNotFound from error
        origin = request.header(b"origin")
        if origin == request.own_origin:
            return channel, ()
        if not admits(settings, origin):
            raise OriginRefused
        allowed = (b"access-control-allow-origin", (origin or "*").encode("latin-1"))
        return channel, (allowed, (b"vary", b"origin"), _EXPOSED)

    async def _answer(self, channel: Channel, request: Request, place: str) -> Response:
        if request.method == "OPTIONS":
            return Response(204, headers=_PREFLIGHT)
        handler = _HANDLERS.get((request.method, place))
        if handler is None:
            raise http.NotFound
        return await handler(self._doorway, channel, request)
