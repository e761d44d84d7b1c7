"""Indexes a document on the worker: extract, cut, embed, and swap old for new in one transaction."""

import asyncio
import time
from dataclasses import dataclass, replace

from metachat.domain import events
from metachat.domain.knowledge import actions, store
from metachat.domain.knowledge.chunking import chunk, for_embedding
from metachat.domain.knowledge.embedding.contract import Embedder, EmbeddingFailed, Vector
from metachat.domain.knowledge.extraction import Extracted, ExtractionFailed, Limits, extract
from metachat.domain.knowledge.filetypes import type_of
from metachat.domain.knowledge.language import configuration, detect_language, searchable
from metachat.domain.knowledge.model import Chunk, Document, Status
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import DocumentId, TenantId
from metachat.foundation.log import log
from metachat.foundation.scope import open_scope

# One document of more chunks than this would keep the model busy for an hour.
MOST_CHUNKS = 20_000
_BATCH = 16
_INSERTED_AT_ONCE = 500
# Seconds between two notes of progress: each is a row version and an event to every open page.
_PROGRESS_EVERY = 1.0

_STALE = (
    "The embedding model has changed from {old} to {new}, and their vectors cannot be compared. "
    "Index all documents again with the new model."
)

_MODEL_AWAY = "The embedding model does not answer. It is asked again by itself; nothing needs to be done."


@dataclass(frozen=True)
class Workshop:
    """What indexing works with; `readers` bounds the child processes that read files at the same time."""

    database: Database
    blobs: DiskBlobs
    embedder: Embedder
    readers: asyncio.Semaphore
    limits: Limits = Limits()  # noqa: RUF009  (frozen)


class _Superseded(Exception):
    """The document was deleted or replaced while it was worked on; its successor has a job of its own."""


async def index(workshop: Workshop, tenant: TenantId, document_id: DocumentId) -> None:
    """Index a document's content; a second run, or one for a document that is gone, does nothing.

    What cannot be read is marked failed with the reason. Raises EmbeddingFailed: then try again later.
    """
    document = await _start(workshop, tenant, document_id)
    if document is None:
        return
    began = time.monotonic()
    try:
        extracted = await _extract(workshop, tenant, document)
        chunks = chunk(extracted.sections)
        if len(chunks) > MOST_CHUNKS:
            raise ExtractionFailed("too_much_text")
        vectors = await _embed(workshop, tenant, document, chunks)
        await _swap(workshop, tenant, document, extracted, chunks, vectors)
    except EmbeddingFailed as failure:
        # Shown while the queue tries again; what else may fail in passing is not worth a line to people.
        await _fail(workshop, tenant, document, "pending", failure.code, _MODEL_AWAY)
        raise
    except ExtractionFailed as failure:
        await _fail(workshop, tenant, document, "failed", failure.code, failure.message)
    except _Superseded:
        log.info("document superseded", document=str(document_id))
    else:
        seconds = round(time.monotonic() - began, 1)
        log.info("document indexed", document=str(document_id), chunks=len(chunks), seconds=seconds)


async def forget(workshop: Workshop, tenant: TenantId, sha256: str) -> None:
    """Remove stored bytes that no document has any longer."""
    async with open_scope(workshop.database, tenant, actor="worker") as scope:
        # Under this lock no upload can begin to use the bytes: it would wait, and then find them gone.
        await store.lock_content(scope, sha256)
        if not await store.is_content_used(scope, sha256):
            await workshop.blobs.for_tenant(tenant).delete(sha256)


async def _start(workshop: Workshop, tenant: TenantId, document_id: DocumentId) -> Document | None:
    embedder = workshop.embedder
    async with open_scope(workshop.database, tenant, actor="worker") as scope:
        document = await store.start(scope, document_id)
        if document is None:
            return None
        other = await store.claim_corpus(scope, embedder.name, embedder.dimension)
        if other is None:
            actions.announce(scope, document)
            return document
    message = _STALE.format(old=other, new=embedder.name)
    await _fail(workshop, tenant, document, "stale", "embedding_model_changed", message)
    return None


async def _extract(workshop: Workshop, tenant: TenantId, document: Document) -> Extracted:
    path = workshop.blobs.for_tenant(tenant).path(document.sha256)
    async with workshop.readers:
        return await extract(path, type_of(document.name).name, workshop.limits)


async def _embed(
    workshop: Workshop, tenant: TenantId, document: Document, chunks: list[Chunk]
) -> list[Vector]:
    vectors: list[Vector] = []
    noted = -_PROGRESS_EVERY
    for start in range(0, len(chunks), _BATCH):
        if time.monotonic() - noted >= _PROGRESS_EVERY:
            await _note_progress(workshop, tenant, document, len(vectors), len(chunks))
            noted = time.monotonic()
        batch = chunks[start : start + _BATCH]
        vectors.extend(await workshop.embedder.embed_passages([for_embedding(piece) for piece in batch]))
    return vectors


async def _note_progress(
    workshop: Workshop, tenant: TenantId, document: Document, done: int, total: int
) -> None:
    async with open_scope(workshop.database, tenant, actor="worker") as scope:
        if not await store.progress(scope, document, done, total):
            raise _Superseded
        actions.announce(scope, replace(document, status="processing", chunks_done=done, chunks_total=total))


async def _swap(
    workshop: Workshop, tenant: TenantId, document: Document, extracted: Extracted,
    chunks: list[Chunk], vectors: list[Vector],
) -> None:  # fmt: skip
    language = detect_language("\n".join(piece.text for piece in chunks[:20]))
    rows = [_row(document, language, piece, vector) for piece, vector in zip(chunks, vectors, strict=True)]
    async with open_scope(workshop.database, tenant, actor="worker") as scope:
        held = await store.hold(scope, document)
        if held is None or await store.claim_corpus(
            scope, workshop.embedder.name, workshop.embedder.dimension
        ):
            raise _Superseded
        await store.delete_chunks(scope, document.id)
        for start in range(0, len(rows), _INSERTED_AT_ONCE):
            await store.insert_chunks(scope, rows[start : start + _INSERTED_AT_ONCE])
        await store.finish(scope, document, language, extracted.pages, len(rows))
        if held.indexed_sha256 is not None and held.indexed_sha256 != held.sha256:
            await actions.forget_later(scope, held.indexed_sha256)
        await events.record(
            scope, "document.ready", subject=document.id, name=document.name, chunks=len(rows)
        )
        done = replace(document, status="ready", chunks_done=len(rows), chunks_total=len(rows))
        actions.announce(scope, done)


def _row(document: Document, language: str, piece: Chunk, vector: Vector) -> dict[str, object]:
    return {
        "document": document.id, "position": piece.position, "page": piece.page, "heading": piece.heading,
        "text": piece.text, "language": language, "embedding": vector,
        "configuration": configuration(language),
        "heading_words": searchable(piece.heading or "", language), "words": searchable(piece.text, language),
    }  # fmt: skip


async def _fail(
    workshop: Workshop, tenant: TenantId, document: Document, status: Status, code: str, message: str
) -> None:
    async with open_scope(workshop.database, tenant, actor="worker") as scope:
        if await store.fail(scope, document, status, code, message):
            await events.record(scope, "document.failed", subject=document.id, name=document.name, code=code)
            actions.announce(scope, replace(document, status=status))
    log.info("document not indexed", document=str(document.id), code=code)
