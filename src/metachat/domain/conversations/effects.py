"""What one update of a provider does to people, conversations and messages."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from metachat.domain import events
from metachat.domain.channels import (
    Arrival,
    Channel,
    Echo,
    Inbound,
    Notice,
    Progress,
    Reaction,
    Revision,
)
from metachat.domain.conversations import attachments, changes, echoes, people, progress
from metachat.domain.conversations.actions import receive
from metachat.domain.conversations.late import Later
from metachat.domain.conversations.model import ConversationNotFound
from metachat.foundation.scope import Scope

# A reaction or an edit may overtake its message, or our own call that sent it; a provider delivers for days,
# but what it could not deliver at once comes within minutes of it.
PATIENCE = timedelta(hours=1)


async def apply(scope: Scope, arrival: Arrival, channel: Channel, waited: timedelta) -> str | None:
    """Let an update take effect; gives the reason when it has none. Raises Later."""
    match arrival:
        case Inbound():
            await _receive(scope, arrival)
        case Echo():
            return await echoes.hear(scope, arrival, channel, waited)
        case Reaction() | Revision():
            return await _change(scope, arrival, waited)
        case Progress():
            await progress.advance(scope, arrival)
        case Notice():
            await _note(scope, arrival)
    return None


async def _receive(scope: Scope, inbound: Inbound) -> None:
    known = await people.known_as(scope, inbound.channel, inbound.external_id, inbound.phone)
    try:
        message = await receive(scope, replace(inbound, external_id=known))
    except ConversationNotFound:
        # Delivered before, into a conversation that is no longer this person's current one.
        return
    if "media" in inbound.detail:
        await attachments.expect(scope, message, inbound.form, inbound.detail["media"])
    await people.keep_phone(scope, inbound.channel, known, inbound.phone)


async def _change(scope: Scope, change: Reaction | Revision, waited: timedelta) -> str | None:
    known = await people.known_as(scope, change.channel, change.external_id, change.phone)
    change = replace(change, external_id=known)
    done = await (
        changes.react(scope, change) if isinstance(change, Reaction) else changes.revise(scope, change)
    )
    if done:
        return None
    if await changes.is_here(scope, change.channel, change.target):
        return "refers to a message of somebody else"
    if waited < PATIENCE:
        raise Later("refers to a message that is not here yet", PATIENCE)
    return "refers to a message that is not here"


async def _note(scope: Scope, notice: Notice) -> None:
    if notice.new_phone or notice.new_external_id:
        await people.rename(scope, notice)
    kind = "contact.changed" if notice.code == "person" else f"channel.{notice.code}"
    await events.record(scope, kind, subject=UUID(str(notice.channel)), told=notice.detail)
