"""Files of conversations: what customers send, and what the team sends to them."""

from metachat.domain.conversations.attachments.actions import (
    Uploaded,
    add,
    attachment_id,
    claim,
    expect,
    find,
    of_messages,
    receive,
    withdraw,
)
from metachat.domain.conversations.attachments.model import (
    Attachment,
    AttachmentId,
    AttachmentNotFound,
    AttachmentUsed,
    FileForm,
    FileRefused,
    limit_of,
)

__all__ = [
    "Attachment",
    "AttachmentId",
    "AttachmentNotFound",
    "AttachmentUsed",
    "FileForm",
    "FileRefused",
    "Uploaded",
    "add",
    "attachment_id",
    "claim",
    "expect",
    "find",
    "limit_of",
    "of_messages",
    "receive",
    "withdraw",
]
