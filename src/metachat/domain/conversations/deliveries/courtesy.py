"""What a customer sees while their answer is made: their message is marked read, and somebody is typing."""

import asyncio
import time
from collections.abc import Mapping

from metachat.domain import channels
from metachat.domain.channels import Channel, NotSent, Sender
from metachat.domain.conversations.model import Conversation, Gathered
from metachat.foundation.db import Database
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import ChannelId, ConversationId, TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log
from metachat.foundation.scope import open_scope

# A courtesy: dropped where it would cost an answer its place, or use up what the provider allows.
_AT_ONCE = 32
_PER_SECOND = 40
_PATIENCE = 5.0
# An answer that is there at once needs no typing before it, and shall not share its way out with it.
_SOON = 0.25
# A change of a channel's settings shows after so many seconds.
_CHANNEL_AGE = 10.0
_REMEMBERED = 1_000


class Courtesy:
    """Shows it beside the turns of a worker; never waited for, and nothing comes of its failures."""

    def __init__(self, database: Database, senders: Mapping[str, Sender], key: Keyring) -> None:
        self._database = database
        self._senders = senders
        self._key = key
        self._running: set[asyncio.Task[None]] = set()
        self._channels: dict[ChannelId, tuple[Channel, float]] = {}
        self._answering: set[ConversationId] = set()
        self._second, self._shown = 0, 0

    def show(self, gathered: Gathered) -> None:
        """Begin to show it soon for the newest of the messages that a turn answers; returns at once."""
        named = [message.provider_id for message in gathered.unanswered if message.provider_id]
        # Who reads along on our own page sees it there.
        if gathered.streamed or not named or not self._has_place():
            return
        self._answering.add(gathered.conversation.id)
        task = asyncio.create_task(self._show(gathered.conversation, named[-1]), name="courtesy")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def end(self, conversation: ConversationId) -> None:
        """Show no typing any more: the turn has ended."""
        self._answering.discard(conversation)

    async def close(self) -> None:
        """Let go of what is still being shown."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _has_place(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._shown = second, 0
        if len(self._running) >= _AT_ONCE or self._shown >= _PER_SECOND:
            return False
        self._shown += 1
        return True

    async def _show(self, conversation: Conversation, provider_id: str) -> None:
        await asyncio.sleep(_SOON)
        try:
            async with asyncio.timeout(_PATIENCE):
                channel = await self._channel(conversation.tenant_id, conversation.channel_id)
                sender = self._senders.get(channel.kind)
                if sender is not None and channel.settings.get("mark_read") is not False:
                    typing = conversation.id in self._answering
                    await sender.seen(channel, self._key, provider_id, typing=typing)
        except (NotSent, Refusal, TimeoutError) as failure:
            channel_id = str(conversation.channel_id)
            log.info("a message was not marked read", reason=str(failure)[:200], channel=channel_id)

    async def _channel(self, tenant: TenantId, id: ChannelId) -> Channel:
        known = self._channels.get(id)
        if known is not None and time.monotonic() - known[1] < _CHANNEL_AGE:
            return known[0]
        async with open_scope(self._database, tenant, actor="worker") as scope:
            channel = await channels.find(scope, id)
        if len(self._channels) >= _REMEMBERED:
            self._channels.clear()
        self._channels[id] = (channel, time.monotonic())
        return channel
