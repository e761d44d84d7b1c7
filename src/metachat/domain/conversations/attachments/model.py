"""A file of a conversation: what a customer sent, or what the team sends."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NewType
from uuid import UUID

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import ChannelId, ConversationId, MessageId

AttachmentId = NewType("AttachmentId", UUID)
FileForm = Literal["image", "audio", "video", "document", "sticker"]

_KILOBYTE, _MEGABYTE = 1024, 1024 * 1024
# The largest file of each form that the platforms carry; an operator may lower it.
LIMITS: dict[FileForm, int] = {
    "image": 5 * _MEGABYTE,
    "audio": 16 * _MEGABYTE,
    "video": 16 * _MEGABYTE,
    "document": 100 * _MEGABYTE,
    "sticker": 500 * _KILOBYTE,
}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file; its bytes are here only when its state is "stored".

    message_id None: uploaded, and not sent yet. size is the bytes' own, or what was told of them.
    """

    id: AttachmentId
    conversation_id: ConversationId
    channel_id: ChannelId
    message_id: MessageId | None
    provider_id: str | None
    form: FileForm
    media_type: str
    name: str
    told_sha256: str | None
    sha256: str | None
    size: int | None
    state: Literal["pending", "stored", "refused", "gone"]
    reason: str
    created_at: datetime

    @property
    def summary(self) -> dict[str, Any]:
        """What the message that carries it keeps, and a channel sends it by."""
        return {
            "id": str(self.id), "sha256": self.sha256, "media_type": self.media_type,
            "name": self.name, "size": self.size,
        }  # fmt: skip


class AttachmentNotFound(Refusal):
    """There is no such file."""

    code, kind = "attachment_not_found", Kind.NOT_FOUND


class AttachmentUsed(Refusal):
    """This file was sent with a message already; upload it again to send it again."""

    code, kind = "attachment_used", Kind.CONFLICT


class FileRefused(Refusal):
    """This file cannot be sent."""

    code, kind = "file_refused", Kind.UNSUPPORTED


def limit_of(form: FileForm, cap: int) -> int:
    """The largest file of a form in bytes, of which the operator allows `cap` bytes at most."""
    return min(LIMITS[form], cap)
