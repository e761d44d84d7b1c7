"""What happens to messages after they were written: delivery, reactions, edits, deletions."""

from typing import Any

from metachat.domain import events
from metachat.domain.channels import Progress, Reaction, Revision
from metachat.domain.conversations import store
from metachat.domain.conversations.model import clean, preview
from metachat.foundation.ids import ConversationId
from metachat.foundation.scope import Scope

_DELETED = "[deleted]"


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


async def react(scope: Scope, reaction: Reaction) -> bool:
    """Set or take back a person's sign under a message; False when there is no such message."""
    target = await _target(scope, reaction)
    if target is None:
        return False
    at = (reaction.at or scope.now).timestamp()
    detail = target["detail"]
    if detail.get("reaction", {}).get("at", 0) <= at:  # of two that overtook each other, the later counts
        detail = {**detail, "reaction": {"emoji": reaction.emoji, "at": at}}
        await scope.db.execute(store.SET_DETAIL, tenant=scope.tenant, id=target["id"], detail=detail)
        _tell(scope, target)
    return True


async def revise(scope: Scope, revision: Revision) -> bool:
    """Change or delete a person's own message; False when there is no such message of theirs."""
    target = await _target(scope, revision)
    if target is None or target["author"] != "customer":
        return False
    at = (revision.at or scope.now).timestamp()
    before = target["detail"].get("revised_at", 0)
    if before > at or target["detail"].get("deleted"):
        return True
    deleted = revision.text is None
    text = _DELETED if revision.text is None else clean(revision.text)
    # What was deleted is gone, with what it carried.
    detail = {"deleted": True} if deleted else dict(target["detail"])
    await scope.db.execute(
        store.REVISE, tenant=scope.tenant, id=target["id"], text=text, preview=preview(text),
        detail={**detail, "revised_at": at},
    )  # fmt: skip
    kind = "message.deleted" if deleted else "message.edited"
    await events.record(scope, kind, subject=target["conversation_id"], message=str(target["id"]))
    _tell(scope, target)
    return True


async def _target(scope: Scope, change: Reaction | Revision) -> dict[str, Any] | None:
    return await scope.db.one(
        store.FIND_TARGET,
        tenant=scope.tenant, channel=change.channel, provider_id=change.target, external=change.external_id,
    )  # fmt: skip


def _tell(scope: Scope, row: dict[str, Any]) -> None:
    id = ConversationId(row["conversation_id"])
    news = {"type": "message", "id": str(row["id"]), "seq": row["seq"]}
    scope.db.announce(f"conversation:{id}", news)
    scope.db.announce(f"tenant:{scope.tenant}", {"type": "conversation", "id": str(id)})
