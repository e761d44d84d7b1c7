"""What becomes of messages that are there already: reactions, edits, deletions."""

from typing import Any

from metachat.domain import events
from metachat.domain.channels import Reaction, Revision
from metachat.domain.conversations import attachments, store
from metachat.domain.conversations.actions import enqueue_turn
from metachat.domain.conversations.model import clean, preview
from metachat.foundation.ids import ChannelId, ConversationId, MessageId
from metachat.foundation.scope import Scope

_DELETED = "[deleted]"


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
    """Change or delete a message of whoever wrote it; False when there is no such message of theirs."""
    target = await _target(scope, revision)
    if target is None or (target["author"] == "customer") != (revision.by == "customer"):
        return False
    at = (revision.at or scope.now).timestamp()
    before = target["detail"].get("revised_at", 0)
    if before > at or target["detail"].get("deleted"):
        return True
    text = target["text"] if revision.text is None else clean(revision.text)
    detail = {**target["detail"], "revised_at": at}
    if revision.text is not None:
        detail = {name: value for name, value in detail.items() if name != "wordless"} | {"edited": True}
    elif revision.by == "customer":
        # What they deleted is gone, with what it carried. What we said remains on record, marked.
        text, detail = _DELETED, {"revised_at": at}
        await _withdraw(scope, target)
    if revision.text is None:
        detail["deleted"] = True
    await scope.db.execute(
        store.REVISE, tenant=scope.tenant, id=target["id"], text=text, preview=preview(text), detail=detail,
        withdrawn=revision.text is None and revision.by == "customer",
    )  # fmt: skip
    kind = "message.deleted" if revision.text is None else "message.edited"
    await events.record(scope, kind, subject=target["conversation_id"], message=str(target["id"]))
    _tell(scope, target)
    return True


async def is_here(scope: Scope, channel: ChannelId, provider_id: str) -> bool:
    """Tell whether a message of this channel is known, whoever wrote it."""
    values = {"tenant": scope.tenant, "channel": channel, "provider_id": provider_id}
    return await scope.db.value(store.IS_HERE, **values) is not None


async def _withdraw(scope: Scope, target: dict[str, Any]) -> None:
    await attachments.withdraw(scope, MessageId(target["id"]), "deleted by the customer")
    # An answer in the making was for this one as well and comes to nothing; what is left is answered anew.
    await enqueue_turn(scope, ConversationId(target["conversation_id"]))


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
