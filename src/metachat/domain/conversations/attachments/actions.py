"""What is done with files of conversations: expected from customers, uploaded by the team, shown, swept."""

import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from metachat.domain.channels import Form
from metachat.domain.conversations.attachments import store
from metachat.domain.conversations.attachments.digests import digest
from metachat.domain.conversations.attachments.model import (
    Attachment,
    AttachmentId,
    AttachmentNotFound,
    AttachmentUsed,
    FileForm,
    FileRefused,
    limit_of,
)
from metachat.domain.conversations.attachments.sniffing import HEAD, objection, plain_type, recognised
from metachat.domain.conversations.model import Message
from metachat.foundation.blobs import Blobs, Stored, TooLarge
from metachat.foundation.ids import ConversationId, MessageId, uuid7
from metachat.foundation.queue import enqueue
from metachat.foundation.scope import Scope

_LONGEST_NAME = 200
_UNSENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file whose bytes are stored, and which belongs to no conversation yet."""

    name: str
    form: FileForm
    media_type: str
    stored: Stored


async def expect(scope: Scope, message: Message, form: Form, told: Mapping[str, Any]) -> None:
    """Note a file that a customer's message names, and have it fetched; a second delivery changes nothing."""
    id = await scope.db.value(
        store.EXPECT,
        tenant=scope.tenant, id=uuid7(), conversation=message.conversation_id, message=message.id,
        provider_id=str(told["id"])[:300], form=form,
        media_type=plain_type(str(told.get("mime_type", "")))[:200],
        name=clean_name(str(told.get("filename", ""))), told_sha256=digest(str(told.get("sha256", ""))),
    )  # fmt: skip
    if id is not None:
        lane = f"media:{message.id}"
        await enqueue(scope.db, "media", {"attachment": str(id)}, lane=lane, tenant=scope.tenant)


async def receive(blobs: Blobs, name: str, chunks: AsyncIterable[bytes], *, cap: int) -> Uploaded:
    """Store a file's bytes as they arrive, outside of any transaction; raises FileRefused, TooLarge."""
    watched = Watched(chunks)
    stored = await blobs.put(watched.stream(), limit=cap)
    name = clean_name(name) or "file"
    form, media_type = recognised(name, watched.head)
    # What is too large to be a picture or a film is still small enough for a document.
    if stored.size > limit_of(form, cap):
        form = "document"
    if stored.size > (limit := limit_of(form, cap)):
        raise TooLarge(f"more than {limit:,} bytes", limit=limit)
    if reason := objection(form, media_type, watched.head):
        raise FileRefused(reason)
    return Uploaded(name, form, media_type, stored)


async def add(scope: Scope, conversation: ConversationId, uploaded: Uploaded) -> Attachment:
    """Keep an uploaded file with a conversation, until a message takes it along."""
    id, stored = AttachmentId(uuid7()), uploaded.stored
    await scope.db.execute(
        store.ADD,
        tenant=scope.tenant, id=id, conversation=conversation, form=uploaded.form,
        media_type=uploaded.media_type, name=uploaded.name, sha256=stored.sha256, size=stored.size,
    )  # fmt: skip
    return await find(scope, conversation, id)


async def find(scope: Scope, conversation: ConversationId, id: AttachmentId) -> Attachment:
    """Find a file of a conversation; raises AttachmentNotFound."""
    values = {"tenant": scope.tenant, "conversation": conversation, "id": id}
    row = await scope.db.one(store.FIND_IN, **values)
    if row is None:
        raise AttachmentNotFound
    return Attachment(**row)


async def claim(scope: Scope, attachment: Attachment, message: MessageId) -> None:
    """Let a message take an uploaded file along; raises AttachmentUsed."""
    values = {"tenant": scope.tenant, "id": attachment.id, "message": message}
    if not await scope.db.execute(store.CLAIM, **values):
        raise AttachmentUsed


async def of_messages(scope: Scope, messages: Sequence[MessageId]) -> dict[MessageId, list[Attachment]]:
    """The files of messages, by message."""
    found: dict[MessageId, list[Attachment]] = {}
    for row in await scope.db.all(store.OF_MESSAGES, tenant=scope.tenant, messages=list(messages)):
        found.setdefault(row["message_id"], []).append(Attachment(**row))
    return found


async def withdraw(scope: Scope, message: MessageId, reason: str) -> None:
    """Take a message's files away from everybody; their bytes go with the next sweep."""
    await scope.db.execute(store.WITHDRAW, tenant=scope.tenant, message=message, reason=reason)


async def forget_unsent(scope: Scope) -> int:
    """Let go of files that were uploaded and never sent."""
    before = scope.now - _UNSENT
    return await scope.db.execute(store.FORGET_UNSENT, tenant=scope.tenant, before=before)


async def unnamed(scope: Scope, contents: Sequence[str]) -> set[str]:
    """Those of some contents that no file of the tenant has."""
    rows = await scope.db.all(store.NAMED, tenant=scope.tenant, contents=list(contents))
    return set(contents) - {row["sha256"] for row in rows}


def clean_name(name: str) -> str:
    """A file's name on one line, without folders and without what turns a reader's eye around."""
    base = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    kept = "".join(char for char in base if unicodedata.category(char)[0] != "C")
    return " ".join(kept.split())[:_LONGEST_NAME]


def attachment_id(text: str) -> AttachmentId:
    """Read a file's id as it travels in jobs."""
    return AttachmentId(UUID(text))


class Watched:
    """A stream whose first bytes are remembered."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.head = b""

    async def stream(self) -> AsyncIterator[bytes]:
        """The same bytes."""
        async for chunk in self._chunks:
            if len(self.head) < HEAD:
                self.head = (self.head + chunk)[:HEAD]
            yield chunk
