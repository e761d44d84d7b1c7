"""Reads conversations: lists, transcripts, and the one citation that a visitor may open."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from metachat.domain.conversations import store
from metachat.domain.conversations.model import Conversation, Message, State
from metachat.foundation.ids import ConversationId
from metachat.foundation.scope import Scope


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a list of conversations goes on: after the conversation with this activity and id."""

    updated_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Tally:
    """How many conversations are open, how many of them wait for a person; asked counts trials too."""

    open: int
    waiting: int
    asked: bool


async def tally(scope: Scope) -> Tally:
    """Count the tenant's conversations."""
    row = await scope.db.one(store.TALLY, tenant=scope.tenant)
    assert row is not None
    return Tally(**row)


async def list_conversations(
    scope: Scope,
    *,
    limit: int,
    after: Cursor | None = None,
    state: State | None = None,
    text: str | None = None,
) -> list[Conversation]:
    """List conversations by their latest activity, newest first; those without a message are left out.

    text: words that the contact's name or one of the messages contains.
    """
    rows = await scope.db.all(
        store.RECENT,
        tenant=scope.tenant, limit=limit, state=state, text=_containing(text),
        before_at=after.updated_at if after else None, before_id=after.id if after else None,
    )  # fmt: skip
    return [Conversation(**row) for row in rows]


async def transcript(scope: Scope, id: ConversationId, *, after: int = 0, limit: int = 200) -> list[Message]:
    """Gives the messages after a sequence number, oldest first; a conversation that is not there has none."""
    rows = await scope.db.all(store.MESSAGES_AFTER, tenant=scope.tenant, id=id, after=after, limit=limit)
    return [Message(**row) for row in rows]


async def cited(scope: Scope, id: ConversationId, chunk_id: int) -> dict[str, Any] | None:
    """Gives the citation of a chunk in this conversation's answers; None when none cites it."""
    row = await scope.db.one(store.IS_CITED, tenant=scope.tenant, id=id, chunk=chunk_id)
    return None if row is None else row["citation"]


def _containing(text: str | None) -> str | None:
    # "%", "_" and "\\" mean themselves to people who search.
    plain = (text or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")
    return f"%{plain}%" if plain else None
