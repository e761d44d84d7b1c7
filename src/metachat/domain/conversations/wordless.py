"""What is said to a customer who sent something without words: nobody answers a question that is not there.

A picture, film, document, sticker, place or card alone is acknowledged once, with the offer of a person; more
of them in a row are taken in silence. A voice message or an order is a person's to deal with.
"""

from metachat.domain import events
from metachat.domain.conversations import store, writing
from metachat.domain.conversations.model import Gathered
from metachat.domain.conversations.phrases import Phrase
from metachat.foundation.ids import MessageId
from metachat.foundation.scope import Scope

_FOR_A_PERSON: dict[str, Phrase] = {"audio": "voice_received", "order": "order_received"}


async def acknowledge(scope: Scope, gathered: Gathered) -> None:
    """Deal with messages that ask nothing; too late where a person has taken over meanwhile."""
    id = gathered.conversation.id
    conversation = await writing.lock(scope, id)
    if conversation.state != "assistant":
        return
    phrases = [_FOR_A_PERSON[one.form] for one in gathered.unanswered if one.form in _FOR_A_PERSON]
    if phrases:
        message = await writing.say(scope, conversation, phrases[0])
        await writing.mark_all_answered(scope, id, by=message.id)
        await writing.set_state(scope, id, "waiting")
        await events.record(scope, "handoff.requested", subject=id, reason=phrases[0])
        return
    said = await scope.db.one(store.LAST_SAID, tenant=scope.tenant, id=id)
    if said is not None and said["phrase"] == "file_received":
        await writing.mark_answered(scope, gathered, by=MessageId(said["id"]))
        return
    message = await writing.say(scope, conversation, "file_received")
    await writing.mark_answered(scope, gathered, by=message.id)
