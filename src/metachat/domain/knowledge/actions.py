"""What people do with documents: upload, look, delete."""

import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from metachat.domain import events
from metachat.domain.knowledge import store
from metachat.domain.knowledge.embedding.contract import Embedder
from metachat.domain.knowledge.filetypes import HEAD, FileType, check_content, type_of
from metachat.domain.knowledge.model import BadName, Document, DocumentNotFound, Passage
from metachat.foundation.blobs import Blobs, DiskBlobs, Stored
from metachat.foundation.ids import DocumentId, uuid7
from metachat.foundation.queue import enqueue
from metachat.foundation.scope import Scope

# Bytes of one file, unless the operator's settings say otherwise.
UPLOAD_LIMIT = 50 * 1024 * 1024
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Received:
    """A file whose bytes are stored, but which no document names yet."""

    name: str
    file_type: FileType
    stored: Stored


async def upload(
    scope: Scope, blobs: DiskBlobs, name: str, chunks: AsyncIterator[bytes], *, limit: int = UPLOAD_LIMIT
) -> Document:
    """Receive and add in one go, for files that are near; one from the network is better received before."""
    return await add(scope, blobs, await receive(blobs.for_tenant(scope.tenant), name, chunks, limit=limit))


async def receive(
    blobs: Blobs, name: str, chunks: AsyncIterator[bytes], *, limit: int = UPLOAD_LIMIT
) -> Received:
    """Store a file's bytes in its tenant's store as they arrive, outside of any transaction.

    Raises BadName, UnsupportedFile, WrongExtension, EmptyFile and TooLarge, and then keeps nothing.
    """
    name = clean_name(name)
    type_of(name)
    checked = _Checked(name, chunks)
    stored = await blobs.put(checked.stream(), limit=limit)
    return Received(name, checked.file_type(), stored)


async def add(scope: Scope, blobs: DiskBlobs, received: Received) -> Document:
    """Make a document of a received file and have it indexed; the same content again is no work.

    A document of the same name gets the new content; what it said before answers until the new is ready.
    """
    name, stored = received.name, received.stored
    await store.lock_name(scope, name)
    await store.lock_content(scope, stored.sha256)
    if not blobs.for_tenant(scope.tenant).path(stored.sha256).exists():
        raise DocumentNotFound("The same content was deleted while it arrived; upload it again.")
    known = await store.find_by_name(scope, name)
    if known is not None and known.sha256 == stored.sha256:
        if known.status == "ready":
            return known
        if known.status in ("pending", "processing"):
            # Its job may have given up; one too many finds nothing to do.
            await index_later(scope, known.id)
            return known
    document = await store.save_upload(
        scope,
        {
            "id": uuid7(), "name": name, "media_type": received.file_type.media_type,
            "size_bytes": stored.size, "sha256": stored.sha256,
        },
    )  # fmt: skip
    if known is not None and known.sha256 not in (stored.sha256, known.indexed_sha256):
        await forget_later(scope, known.sha256)
    await index_later(scope, document.id)
    await events.record(scope, "document.uploaded", subject=document.id, name=name, version=document.version)
    announce(scope, document)
    return document


async def list_documents(scope: Scope, *, cursor: UUID | None = None, limit: int = 50) -> list[Document]:
    """List the tenant's documents, the newest first; cursor is the id of the last one seen."""
    return await store.list_after(scope, cursor, limit)


async def find_document(scope: Scope, document: DocumentId) -> Document:
    """Find a document; raises DocumentNotFound."""
    return await store.find(scope, document)


async def find_passage(scope: Scope, chunk_id: int) -> Passage:
    """Find a passage by the number that a citation carries; raises PassageNotFound."""
    return await store.find_passage(scope, chunk_id)


async def list_passages(
    scope: Scope, document: DocumentId, *, after: int = -1, limit: int = 50
) -> list[Passage]:
    """List what the assistant reads in a document, in order; after is the position of the last one seen."""
    return await store.list_passages(scope, document, after, limit)


async def delete_document(scope: Scope, document: DocumentId) -> None:
    """Delete a document, what was made of it, and its bytes; raises DocumentNotFound."""
    found = await store.find(scope, document)
    contents = await store.delete(scope, document)
    if not contents:
        raise DocumentNotFound()
    for sha256 in contents:
        await forget_later(scope, sha256)
    await events.record(scope, "document.deleted", subject=document, name=found.name)
    scope.db.announce(
        f"tenant:{scope.tenant}", {"type": "document", "id": str(document), "status": "deleted"}
    )


async def reindex(scope: Scope, embedder: Embedder) -> int:
    """Have every document indexed again with another embedding model; how many there are."""
    documents = await store.restart_all(scope, embedder.name, embedder.dimension)
    for document in documents:
        await index_later(scope, document)
    return len(documents)


async def index_later(scope: Scope, document: DocumentId) -> None:
    """Enqueue the indexing of a document, in order with what else happens to it."""
    await enqueue(
        scope.db, "index", {"document": str(document)}, lane=f"document:{document}", tenant=scope.tenant
    )


async def forget_later(scope: Scope, sha256: str) -> None:
    """Enqueue the removal of bytes that may have no document left: a file is no part of a transaction."""
    await enqueue(
        scope.db, "forget", {"sha256": sha256}, lane=f"content:{scope.tenant}:{sha256}", tenant=scope.tenant
    )


def announce(scope: Scope, document: Document) -> None:
    """Tell the tenant's open pages how far a document is."""
    scope.db.announce(
        f"tenant:{scope.tenant}",
        {
            "type": "document", "id": str(document.id), "status": document.status,
            "chunks_done": document.chunks_done, "chunks_total": document.chunks_total,
        },
    )  # fmt: skip


def clean_name(name: str) -> str:
    """The last part of a path, in composed form, without control characters; raises BadName."""
    last = name.replace("\\", "/").rpartition("/")[2]
    composed = unicodedata.normalize("NFC", last)
    visible = "".join(c for c in composed if unicodedata.category(c)[0] != "C").strip()
    if not visible.strip(".") or len(visible) > _LONGEST_NAME:
        raise BadName()
    return visible


class _Checked:
    """Looks at a file's first bytes while they pass."""

    def __init__(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        self._name, self._chunks, self._head = name, chunks, b""

    async def stream(self) -> AsyncIterator[bytes]:
        """Pass the bytes on; raises as soon as they don't agree with the name."""
        checked = False
        async for chunk in self._chunks:
            if not checked:
                self._head += chunk[: HEAD - len(self._head)]
                checked = len(self._head) >= HEAD
                if checked:
                    self.file_type()
            yield chunk
        self.file_type()

    def file_type(self) -> FileType:
        """What the file is."""
        return check_content(self._name, self._head)
