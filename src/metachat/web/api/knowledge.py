"""Documents: upload, look, download, delete; and the passages that citations name."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, PathParameter
from litestar.response import File

from metachat.domain import knowledge
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.knowledge import Document, Passage
from metachat.domain.knowledge.model import Status
from metachat.foundation.ids import DocumentId
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.fields import Cursor, Limit
from metachat.web.api.paging import Page, after_id, page
from metachat.web.api.uploads import FIELD, receive_file
from metachat.web.api.writing import Rights, allowed, write

_MAY_WRITE = Rights(Role.AGENT, ApiScope.KNOWLEDGE_WRITE)
_MAY_REINDEX = Rights(Role.ADMIN, ApiScope.KNOWLEDGE_WRITE)

ChunkNumber = Annotated[int, PathParameter(ge=1, le=2**63 - 1, description="chunk_id of a citation.")]


class DocumentView(msgspec.Struct, frozen=True):
    """A document and how far it is; error_message says what to do when its status is failed or stale."""

    id: UUID
    name: str
    media_type: str
    size_bytes: int
    version: int
    status: Status
    error_code: str | None
    error_message: str | None
    language: str | None
    pages: int | None
    chunks_done: int
    chunks_total: int | None
    created_at: datetime
    updated_at: datetime


class PassageView(msgspec.Struct, frozen=True):
    """A piece of a document, as citations name it; heading is the path of its headings."""

    chunk_id: int
    document_id: UUID
    document: str
    page: int | None
    heading: str | None
    text: str
    language: str
    position: int


class Reindexing(msgspec.Struct, frozen=True):
    """How many documents wait to be indexed again."""

    documents: int


@dataclass
class _UploadOperation(Operation):
    """Describes the form that `upload` reads while it arrives, of which the framework knows nothing."""

    def __post_init__(self) -> None:
        file = Schema(
            type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY, description="One file, with its name."
        )
        form = Schema(type=OpenAPIType.OBJECT, properties={FIELD: file}, required=[FIELD])
        self.request_body = RequestBody(
            content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True
        )


@post(
    "/documents", tags=["Knowledge"], status_code=202, operation_class=_UploadOperation,
    request_max_body_size=None,
)  # fmt: skip
async def upload(request: AnyRequest) -> DocumentView:
    """Upload a document; it answers once its status is ready.

    A file of a known name replaces that document, which answers as before until the new one is ready.
    The same content again changes nothing, so a repeated upload needs no Idempotency-Key.
    """
    grant = await allowed(request, _MAY_WRITE)
    received = await receive_file(request, grant.tenant.id)
    async with access.scope(request, _MAY_WRITE.role, api_scope=_MAY_WRITE.api_scope) as scope:
        return _document(await knowledge.add(scope, access.platform_of(request).blobs, received))


@get("/documents", tags=["Knowledge"])
async def list_documents(request: AnyRequest, limit: Limit = 50, cursor: Cursor = None) -> Page[DocumentView]:
    """List documents, the newest first."""
    after = after_id(cursor)
    async with access.scope(request, api_scope=ApiScope.KNOWLEDGE_READ) as scope:
        found = await knowledge.list_documents(scope, cursor=after, limit=limit + 1)
        return page([_document(one) for one in found], limit, lambda one: str(one.id))


@get("/documents/{id:uuid}", tags=["Knowledge"])
async def show_document(request: AnyRequest, id: FromPath[UUID]) -> DocumentView:
    """Show a document."""
    async with access.scope(request, api_scope=ApiScope.KNOWLEDGE_READ) as scope:
        return _document(await knowledge.find_document(scope, DocumentId(id)))


@get("/documents/{id:uuid}/content", tags=["Knowledge"])
async def download(request: AnyRequest, id: FromPath[UUID]) -> File:
    """Download the file as it was uploaded."""
    async with access.scope(request, api_scope=ApiScope.KNOWLEDGE_READ) as scope:
        found = await knowledge.find_document(scope, DocumentId(id))
        path = access.platform_of(request).blobs.for_tenant(scope.tenant).path(found.sha256)
    # As an attachment, and never as a page of ours: what is in it is not our doing.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    return File(path, filename=found.name, media_type=found.media_type, headers=headers)


@delete("/documents/{id:uuid}", tags=["Knowledge"], status_code=204)
async def delete_document(request: AnyRequest, id: FromPath[UUID]) -> None:
    """Delete a document, all that was made of it, and the file."""
    async with access.scope(request, _MAY_WRITE.role, api_scope=_MAY_WRITE.api_scope) as scope:
        await knowledge.delete_document(scope, DocumentId(id))


@post("/documents/reindex", tags=["Knowledge"], status_code=202)
async def reindex(request: AnyRequest) -> Response[Reindexing]:
    """Index every document again with the present embedding model; until then they don't answer."""
    embedder = access.platform_of(request).embedder

    async def work(scope: Scope) -> Reindexing:
        return Reindexing(await knowledge.reindex(scope, embedder))

    return await write(request, _MAY_REINDEX, work, status=202)


@get("/passages/{chunk_id:int}", tags=["Knowledge"])
async def show_passage(request: AnyRequest, chunk_id: ChunkNumber) -> PassageView:
    """Show the passage that a citation names; it is gone once its document is replaced or deleted."""
    async with access.scope(request, api_scope=ApiScope.KNOWLEDGE_READ) as scope:
        return _passage(await knowledge.find_passage(scope, chunk_id))


def _document(document: Document) -> DocumentView:
    return msgspec.convert(document, DocumentView, from_attributes=True)


def _passage(passage: Passage) -> PassageView:
    return msgspec.convert(passage, PassageView, from_attributes=True)


ROUTES = [
    upload, list_documents, show_document, download, delete_document, reindex, show_passage,
]  # fmt: skip
