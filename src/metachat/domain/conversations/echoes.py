"""Messages that went out from the business, as the provider tells of them: ours, or a person's in its app.

A person who writes in the provider's own app has taken the conversation over: it is assigned to nobody of
the team, the assistant is silent, and any member may take it on or give it back. What we sent ourselves is
never a takeover.
"""

import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from metachat.domain import events
from metachat.domain.channels import Channel, Echo, Progress
from metachat.domain.conversations import progress, store, writing
from metachat.domain.conversations.actions import start
from metachat.domain.conversations.changes import is_here
from metachat.domain.conversations.late import Later
from metachat.domain.conversations.model import Message, Reply, clean
from metachat.domain.conversations.people import known_as
from metachat.foundation.ids import ConversationId
from metachat.foundation.scope import Scope

# An echo may overtake the answer to our own call: so long it waits while one of ours is on its way.
PATIENCE = timedelta(seconds=15)
# A message of ours that was never told to have left may have arrived nevertheless.
_LATELY = timedelta(hours=1)
_MARKS = re.compile(r"\[\d{1,2}\]|[*_~]|\s+")
_ALIKE = 24


async def hear(scope: Scope, echo: Echo, channel: Channel, waited: timedelta) -> str | None:
    """Let an echo take effect; gives the reason when it has none. Raises Later."""
    if await _is_ours(scope, echo, channel):
        return "our own message"
    known = await known_as(scope, echo.channel, echo.external_id, echo.phone)
    values = {"tenant": scope.tenant, "channel": echo.channel, "external": known}
    unnamed = await scope.db.all(store.UNNAMED, **values, since=scope.now - _LATELY)
    if waited < PATIENCE and any(row["status"] == "queued" for row in unnamed):
        raise Later("whether one of our own messages has arrived is not known yet", PATIENCE)
    if any(_alike(row["text"], echo.text) for row in unnamed):
        return "our own message, by its text"
    message = await _record(scope, replace(echo, external_id=known))
    return None if message else "told before"


async def _is_ours(scope: Scope, echo: Echo, channel: Channel) -> bool:
    if await is_here(scope, echo.channel, echo.provider_id):
        return True
    values = {"tenant": scope.tenant, "channel": echo.channel}
    # What we sent along begins with the message's id; its parts are counted behind it.
    id = _uuid(echo.message.partition(".")[0])
    if id is not None and await scope.db.value(store.IS_OURS, **values, message=id):
        # It tells that the message was taken, and under which name.
        told = Progress(echo.channel, echo.provider_id, "sent", echo.provider_at, message=echo.message)
        await progress.advance(scope, told)
        return True
    return bool(echo.app) and echo.app == channel.settings.get("app_id")


async def _record(scope: Scope, echo: Echo) -> Message | None:
    who = {"tenant": scope.tenant, "channel": echo.channel, "external": echo.external_id}
    row = await scope.db.one(store.LATEST_OF, **who)
    id = row["id"] if row else (await start(scope, echo.channel, echo.external_id)).id
    conversation = await writing.lock(scope, ConversationId(id))
    detail = {"from_app": True, **({"form": echo.form} if echo.form != "text" else {}), **echo.detail}
    said = Reply(clean(echo.text), author="agent", detail=detail)
    message = await writing.add_told(scope, conversation, said, echo.provider_id, echo.provider_at)
    if message is None:
        return None
    await writing.mark_all_answered(scope, conversation.id, by=message.id)
    if conversation.state != "assigned":
        await writing.set_state(scope, conversation.id, "assigned")
        await events.record(scope, "conversation.taken_over", subject=conversation.id, by="app")
    return message


def _alike(ours: str, echoed: str) -> bool:
    # Channels dress a text up (marks, sources below it): what matters is how it begins.
    plain, told = (_MARKS.sub("", text)[:400] for text in (ours, echoed))
    if not plain or not told:
        return False
    shorter = min(len(plain), len(told))
    return plain == told or (shorter >= _ALIKE and plain[:shorter] == told[:shorter])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
