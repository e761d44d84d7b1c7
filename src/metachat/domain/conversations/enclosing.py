"""Answering as a person with a file."""

from metachat.domain import channels
from metachat.domain.conversations import attachments, writing
from metachat.domain.conversations.actions import hand_off
from metachat.domain.conversations.attachments import AttachmentId, AttachmentNotFound, AttachmentUsed
from metachat.domain.conversations.model import ConversationClosed, Message, Reply, clean
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ConversationId, UserId
from metachat.foundation.scope import Scope

# Channels that show words alone.
FILELESS = ("webchat", "test")


class FilelessChannel(Refusal):
    """This channel carries no files; send the customer words, or a link."""

    code, kind = "fileless_channel", Kind.UNSUPPORTED


async def agent_sends(
    scope: Scope, id: ConversationId, file: AttachmentId, text: str, *, agent: UserId
) -> Message:
    """Send an uploaded file as a person, with words or without; whoever does so has taken over.

    Raises AttachmentNotFound, AttachmentUsed, FilelessChannel, NotAMember, ConversationClosed.
    """
    conversation = await writing.lock(scope, id)
    if conversation.state == "closed":
        raise ConversationClosed
    found = await attachments.find(scope, id, file)
    if found.state != "stored":
        raise AttachmentNotFound(found.reason or None)
    if found.message_id is not None:
        raise AttachmentUsed
    if (await channels.find(scope, conversation.channel_id)).kind in FILELESS:
        raise FilelessChannel
    if (conversation.state, conversation.owner_id) != ("assigned", agent):
        conversation = await hand_off(scope, id, to=agent)
    silent = not text.replace("\x00", "").strip()
    detail = {"form": found.form, "attachment": found.summary, **({"wordless": True} if silent else {})}
    said = Reply(f"[{found.form}]" if silent else clean(text), author="agent", author_id=agent, detail=detail)
    message = await writing.add_message(scope, conversation, said)
    await attachments.claim(scope, found, message.id)
    await writing.mark_all_answered(scope, id, by=message.id)
    return message
