"""Sending anew what could not be delivered."""

from typing import Any

from metachat.domain import events
from metachat.domain.channels import SENT_BY_PROVIDERS
from metachat.domain.conversations import progress, store, writing
from metachat.domain.conversations.model import Message
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ConversationId, MessageId
from metachat.foundation.queue import enqueue
from metachat.foundation.scope import Scope


class MessageNotFound(Refusal):
    """There is no such message."""

    code, kind = "message_not_found", Kind.NOT_FOUND


class NotFailed(Refusal):
    """Only a message that could not be delivered can be sent again."""

    code, kind = "not_failed", Kind.CONFLICT


async def resend(
    scope: Scope, id: ConversationId, message: MessageId, *, template: dict[str, Any] | None = None
) -> Message:
    """Send a message that failed again, in the words of a template where one is given.

    It keeps its place in the transcript and goes out behind whatever is on its way already. Raises
    ConversationNotFound, MessageNotFound, NotFailed.
    """
    await writing.lock(scope, id)
    values = {"tenant": scope.tenant, "id": id, "message": message}
    detail: dict[str, Any] = {} if template is None else {"template": template}
    row = await scope.db.one(
        store.QUEUE_AGAIN, **values, detail=detail, now=scope.now, kinds=list(SENT_BY_PROVIDERS)
    )
    if row is None:
        raise NotFailed if await scope.db.value(store.HAS_MESSAGE, **values) else MessageNotFound
    lane = f"delivery:{id}"
    await enqueue(scope.db, "deliver", {"message": str(message)}, lane=lane, tenant=scope.tenant)
    await events.record(scope, "message.resent", subject=id, message=str(message), by=scope.actor)
    progress.tell(scope.db, scope.tenant, row)
    return Message(**row)
