"""What a customer sees while their answer is made: their message is marked read, and somebody is typing."""

import asyncio
import random
import time
from collections.abc import Mapping

from metachat.domain.channels import Channel, NotSent, Sender
from metachat.domain.conversations.model import Gathered
from metachat.foundation.errors import Refusal
from metachat.foundation.ids import ConversationId
from metachat.foundation.keyring import Keyring
from metachat.foundation.log import log

# A courtesy: dropped where it would cost an answer its place, or use up what the provider allows.
_AT_ONCE = 32
_PER_SECOND = 40
_PATIENCE = 5.0
# Seconds, from and to: an answer that is there at once needs no typing before it, and shall not share its way
# out with it. By chance, so that the courtesies of a steady stream do not keep meeting its next answers.
_SOON = (0.2, 0.3)


class Courtesy:
    """Shows it beside the turns of a worker; never waited for, and nothing comes of its failures."""

    def __init__(self, senders: Mapping[str, Sender], key: Keyring) -> None:
        self._senders = senders
        self._key = key
        self._running: set[asyncio.Task[None]] = set()
        self._answering: set[ConversationId] = set()
        self._second, self._shown = 0, 0

    def show(self, gathered: Gathered) -> None:
        """Begin to show it soon for the newest of the messages that a turn answers; returns at once."""
        named = [message.provider_id for message in gathered.unanswered if message.provider_id]
        # Who reads along on our own page sees it there.
        if gathered.streamed or not named or not self._has_place():
            return
        self._answering.add(gathered.conversation.id)
        showing = self._show(gathered.channel, gathered.conversation.id, named[-1])
        task = asyncio.create_task(showing, name="courtesy")
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

    async def _show(self, channel: Channel, conversation: ConversationId, provider_id: str) -> None:
        await asyncio.sleep(random.uniform(*_SOON))  # noqa: S311
        try:
            async with asyncio.timeout(_PATIENCE):
                sender = self._senders.get(channel.kind)
                if sender is not None and channel.settings.get("mark_read") is not False:
                    typing = conversation in self._answering
                    await sender.seen(channel, self._key, provider_id, typing=typing)
        except (NotSent, Refusal, TimeoutError) as failure:
            reason = str(failure)[:200]
            log.info("a message was not marked read", reason=reason, channel=str(channel.id))
