"""How far messages of ours have come after they were written."""

from typing import Any

from metachat.domain import events
from metachat.domain.channels import Progress
from metachat.domain.conversations import store
from metachat.domain.conversations.deliveries import store as outbox
from metachat.domain.conversations.deliveries.reference import read_reference
from metachat.domain.conversations.writing import UNHURRIED
from metachat.foundation.db import Transaction
from metachat.foundation.ids import ConversationId, TenantId
from metachat.foundation.scope import Scope


async def advance(scope: Scope, progress: Progress) -> bool:
    """Move a message we sent forward, never back; True when it moved.

    The provider may tell before our own call has returned: what it told is kept, and whoever learns the
    message's provider id gets the rest. Where it gives back our own id of the message, that is learnt here.
    """
    values = {"tenant": scope.tenant, "channel": progress.channel, "provider_id": progress.provider_id}
    detail = progress.detail
    if progress.step == "failed" and "failed" not in detail:
        detail = {**detail, "failed": _failure(detail)}
    furthest = await scope.db.one(
        store.ADVANCE_RECEIPT, **values, status=progress.step, detail=detail, at=progress.at or scope.now
    )
    assert furthest is not None
    moved = await scope.db.one(store.ADVANCE_MESSAGE, **values, **furthest)
    if moved is None and progress.message and await _adopt(scope, progress):
        moved = await scope.db.one(store.ADVANCE_MESSAGE, **values, **furthest)
    if moved is None:
        return False
    await events.record(
        scope, "message.status",
        subject=moved["conversation_id"], message=str(moved["id"]), status=furthest["status"],
    )  # fmt: skip
    tell(scope.db, scope.tenant, moved)
    return True


def tell(db: Transaction, tenant: TenantId, row: dict[str, Any]) -> None:
    """Announce that a message has changed; row holds its id, conversation_id and seq."""
    id = ConversationId(row["conversation_id"])
    news = {"type": "message", "id": str(row["id"]), "seq": row["seq"]}
    db.announce(f"conversation:{id}", news, UNHURRIED)
    db.announce(f"tenant:{tenant}", {"type": "conversation", "id": str(id)}, UNHURRIED)


async def _adopt(scope: Scope, progress: Progress) -> bool:
    """A call's answer never came, but its message did: it is taken, and must not be sent again."""
    reference = read_reference(progress.message)
    if reference is None:
        return False
    values = {"tenant": scope.tenant, "channel": progress.channel, "message": reference.message}
    values |= {"part": reference.part, "round": reference.round}
    if reference.is_last:
        row = await scope.db.one(outbox.ADOPT, **values, provider_id=progress.provider_id)
    else:
        row = await scope.db.one(outbox.ADOPT_PART, **values)
    return row is not None and reference.is_last


def _failure(detail: dict[str, Any]) -> dict[str, str]:
    errors = detail.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    told = first.get("detail") or first.get("title") or "The provider could not deliver it."
    return {"code": str(first.get("code", "")), "reason": str(told)[:500], "remedy": "give_up"}
