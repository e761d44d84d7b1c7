"""How far messages of ours have come after they were written."""

from typing import Any

from metachat.domain import events
from metachat.domain.channels import Progress
from metachat.domain.conversations import store
from metachat.foundation.ids import ConversationId
from metachat.foundation.scope import Scope


async def advance(scope: Scope, progress: Progress) -> bool:
    """Move a message we sent forward, never back; True when it moved.

    The provider may tell before our own call has returned: what it told is kept, and whoever learns the
    message's provider id calls this with "sent" and gets the rest.
    """
    values = {"tenant": scope.tenant, "channel": progress.channel, "provider_id": progress.provider_id}
    furthest = await scope.db.one(
        store.ADVANCE_RECEIPT,
        **values, status=progress.step, detail=progress.detail, at=progress.at or scope.now,
    )  # fmt: skip
    assert furthest is not None
    moved = await scope.db.one(store.ADVANCE_MESSAGE, **values, **furthest)
    if moved is None:
        return False
    await events.record(
        scope, "message.status",
        subject=moved["conversation_id"], message=str(moved["id"]), status=furthest["status"],
    )  # fmt: skip
    _tell(scope, moved)
    return True


def _tell(scope: Scope, row: dict[str, Any]) -> None:
    id = ConversationId(row["conversation_id"])
    news = {"type": "message", "id": str(row["id"]), "seq": row["seq"]}
    scope.db.announce(f"conversation:{id}", news)
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": str(id)})
