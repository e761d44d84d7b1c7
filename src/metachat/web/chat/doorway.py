"""What all visitors of this process share: the channels they come through, their limits, their tokens."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from metachat.domain.channels import Channel, reveal
from metachat.domain.channels.webchat import WebchatSettings, settings_of
from metachat.foundation.db import Database
from metachat.foundation.errors import Unavailable
from metachat.foundation.ids import ChannelId, uuid7
from metachat.foundation.rates import Rate, Rates
from metachat.foundation.realtime import Listens
from metachat.foundation.settings import Secret
from metachat.web import limited
from metachat.web.chat.http import Request
from metachat.web.chat.limits import Limits, TooFast
from metachat.web.chat.visitors import TokenRefused, Tokens, Visitor

# Every request asks for its channel; a change of its settings shows after this many seconds.
_CHANNEL_AGE = 2.0
_CHANNELS = 2_000


class TooManyReaders(Unavailable):
    """Too many chats are open here at the moment; try again shortly."""

    code = "too_many_streams"


class Doorway:
    """One per api process."""

    def __init__(
        self, database: Database, listener: Listens, secret: Secret, limits: Limits, rates: Rates
    ) -> None:
        self.database = database
        self.listener = listener
        self.tokens = Tokens(secret)
        self.limits = limits
        self._rates = rates
        self._readers: Counter[UUID] = Counter()
        self._channels: dict[ChannelId, tuple[float, Channel, WebchatSettings]] = {}

    async def channel(self, id: ChannelId) -> tuple[Channel, WebchatSettings]:
        """Find the channel a visitor names; raises ChannelNotFound."""
        now = time.monotonic()
        known = self._channels.get(id)
        if known is None or known[0] < now:
            channel = await reveal(self.database, id)
            if len(self._channels) >= _CHANNELS:
                self._channels.clear()
            known = (now + _CHANNEL_AGE, channel, settings_of(channel))
            self._channels[id] = known
        return known[1], known[2]

    def count_request(self, request: Request) -> None:
        """Count what an address asks; raises TooFast."""
        self._count(request, "address", self.limits.requests_per_address, request.address)

    def count_session(self, request: Request) -> None:
        """Count conversations that an address begins; raises TooFast."""
        self._count(request, "sessions", self.limits.sessions_per_address, request.address)

    def count_message(self, request: Request, visitor: Visitor) -> None:
        """Count what a visitor says; raises TooFast."""
        self._count(request, "messages", self.limits.messages_per_visitor, str(visitor.conversation))

    def _count(self, request: Request, name: str, rate: Rate, key: str) -> None:
        limited.count(self._rates, name, rate, key, request.standings)

    def visitor(self, channel: Channel, request: Request) -> Visitor:
        """Tell who asks; raises TokenRefused."""
        token = request.token
        if token is None:
            raise TokenRefused
        return self.tokens.read(token, channel.id)

    @contextmanager
    def reader(self, visitor: Visitor) -> Iterator[None]:
        """Count a stream while it is open; raises TooFast, TooManyReaders."""
        conversation = visitor.conversation
        if self._readers[conversation] >= self.limits.streams_per_visitor:
            raise TooFast(retry_after=10)
        if self._readers.total() >= self.limits.streams:
            raise TooManyReaders
        self._readers[conversation] += 1
        try:
            yield
        finally:
            self._readers[conversation] -= 1
            if not self._readers[conversation]:
                del self._readers[conversation]


def new_contact() -> str:
    """Name a visitor who comes for the first time."""
    return uuid7().hex
