"""An answer in the making: shown to readers piece by piece, kept now and then for those who come later.

An answer that begins anew is a new draft: readers drop what the old one has shown them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakSet

from metachat.domain import conversations
from metachat.domain.conversations import Draft
from metachat.foundation.db import Announces, Database
from metachat.foundation.ids import ConversationId, MessageId, TenantId, uuid7
from metachat.foundation.scope import open_scope

# Pieces that come faster than this travel together, in seconds; nobody reads faster.
_BATCH = 0.02
_SAVE_EVERY = 0.25
# However many drafts grow in this process, they are kept so many times a second together.
_SAVES_A_SECOND = 200
_growing: WeakSet["Drafting"] = WeakSet()


class Drafting:
    """Announces what an answer says as it says it."""

    def __init__(self, announcer: Announces | None, conversation: ConversationId) -> None:
        self.id = MessageId(uuid7())
        self.text = ""
        self._announcer = announcer
        self._conversation = conversation
        self._announced = 0
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def say(self, text: str) -> None:
        """Take the next piece; the first one goes out at once."""
        self.text += text
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_BATCH, self.show) if self._announced else loop.call_soon(self.show)

    def restart(self) -> None:
        """Begin anew, as another message; readers keep what they see until the first piece of it comes."""
        if self.text:
            self.show()
            self.id, self.text, self._announced = MessageId(uuid7()), "", 0

    def show(self) -> None:
        """Announce what was not announced yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        piece = self.text[self._announced :]
        if piece and self._announcer is not None:
            token = {"type": "token", "message": str(self.id), "offset": self._announced, "text": piece}
            self._announcer.announce(f"conversation:{self._conversation}", token)
            self._announced = len(self.text)


@asynccontextmanager
async def drafting(
    database: Database, tenant: TenantId, gathered: conversations.Gathered
) -> AsyncIterator[Drafting]:
    """Open a draft; when this is left, everything is announced and nothing more will be saved.

    Where nobody reads along, nothing is announced or saved at all.
    """
    if not gathered.streamed:
        yield Drafting(None, gathered.conversation.id)
        return
    draft = Drafting(database.announcer, gathered.conversation.id)
    _growing.add(draft)
    keeping = asyncio.create_task(_keep(database, tenant, gathered.conversation.id, draft))
    try:
        yield draft
    finally:
        _growing.discard(draft)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        draft.show()


async def _keep(database: Database, tenant: TenantId, id: ConversationId, draft: Drafting) -> None:
    saved = Draft(draft.id, "")
    while True:
        await asyncio.sleep(max(_SAVE_EVERY, len(_growing) / _SAVES_A_SECOND))
        grown = Draft(draft.id, draft.text)
        if grown.text and grown != saved:
            async with open_scope(database, tenant, actor="worker") as scope:
                await conversations.save_draft(scope, id, grown)
            saved = grown
