"""Files of conversations: what customers sent, and what a member is about to send."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath
from litestar.response import Stream

from metachat.domain import conversations
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.conversations import attachments
from metachat.domain.conversations.attachments import Attachment, AttachmentId, AttachmentNotFound
from metachat.foundation.ids import ConversationId
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.uploads import FIELD, receive_with
from metachat.web.api.writing import Rights, allowed
from metachat.web.files import hand_out

_MAY_WRITE = Rights(Role.AGENT, ApiScope.CONVERSATIONS_WRITE)


class AttachmentView(msgspec.Struct, frozen=True):
    """A file; it can be downloaded once its state is "stored", and reason says why it cannot."""

    id: UUID
    message_id: UUID | None
    form: str
    media_type: str
    name: str
    size: int | None
    sha256: str | None
    state: Literal["pending", "stored", "refused", "gone"]
    reason: str
    created_at: datetime


@dataclass
class _UploadOperation(Operation):
    """Describes the form that `attach` reads while it arrives, of which the framework knows nothing."""

    def __post_init__(self) -> None:
        file = Schema(
            type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="One file, with its name."
        )
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: file}, required=[FIELD])
        self.request_body = RequestBody(
            content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True
        )


@post(
    "/conversations/{id:uuid}/attachments", tags=["Conversations"], operation_class=_UploadOperation,
    request_max_body_size=None,
)  # fmt: skip
async def attach(request: AnyRequest, id: FromPath[UUID]) -> AttachmentView:
    """Upload a file to send with a reply; what is not sent within a day is forgotten."""
    grant, platform = await allowed(request, _MAY_WRITE), access.platform_of(request)
    talk = ConversationId(id)
    async with access.scope(request, _MAY_WRITE.role, api_scope=_MAY_WRITE.api_scope) as scope:
        await conversations.find(scope, talk)
    blobs, cap = platform.media.for_tenant(grant.tenant.id), platform.media_cap
    uploaded = await receive_with(
        request, cap, lambda name, content: attachments.receive(blobs, name, content, cap=cap)
    )
    async with access.scope(request, _MAY_WRITE.role, api_scope=_MAY_WRITE.api_scope) as scope:
        await conversations.find(scope, talk)
        return view(await attachments.add(scope, talk, uploaded))


@get("/conversations/{id:uuid}/attachments/{attachment:uuid}", tags=["Conversations"])
async def download_attachment(request: AnyRequest, id: FromPath[UUID], attachment: FromPath[UUID]) -> Stream:
    """Download a file; a Range gives a part of it."""
    async with access.scope(request, api_scope=ApiScope.CONVERSATIONS_READ) as scope:
        found = await attachments.find(scope, ConversationId(id), AttachmentId(attachment))
        media = access.platform_of(request).media.for_tenant(scope.tenant)
    if found.sha256 is None or not media.path(found.sha256).exists():
        raise AttachmentNotFound(found.reason or None)
    return hand_out(request, media.path(found.sha256), found.media_type, found.name or found.form)


def view(attachment: Attachment) -> AttachmentView:
    """A file as programs see it."""
    return msgspec.convert(attachment, AttachmentView, from_attributes=True)


ROUTES = [attach, download_attachment]
