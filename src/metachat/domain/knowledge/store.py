"""SQL of documents, chunks and corpora."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from metachat.domain.knowledge.model import Document, DocumentNotFound, Passage, PassageNotFound, Status
from metachat.foundation.ids import DocumentId
from metachat.foundation.scope import Scope

_DOCUMENT = """id, name, media_type, size_bytes, sha256, version, status, error_code, error_message,
language, pages, chunks_done, chunks_total, indexed_sha256, created_at, updated_at"""


async def lock_name(scope: Scope, name: str) -> None:
    """Let only one upload of a name go on in this tenant at a time, until the transaction ends."""
    await scope.db.execute(LOCK, key=f"document:{scope.tenant}:{name}")


async def lock_content(scope: Scope, sha256: str) -> None:
    """Hold off whoever would store or remove these bytes, until the transaction ends."""
    await scope.db.execute(LOCK, key=f"content:{scope.tenant}:{sha256}")


LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"


async def find_by_name(scope: Scope, name: str) -> Document | None:
    """Find a document by its file name; None when there is none."""
    row = await scope.db.one(FIND_BY_NAME, tenant=scope.tenant, name=name)
    return None if row is None else Document(**row)


FIND_BY_NAME = f"SELECT {_DOCUMENT} FROM documents WHERE tenant_id = :tenant AND name = :name"  # noqa: S608


async def find(scope: Scope, document: DocumentId) -> Document:
    """Find a document; raises DocumentNotFound."""
    row = await scope.db.one(FIND, tenant=scope.tenant, id=document)
    if row is None:
        raise DocumentNotFound()
    return Document(**row)


FIND = f"SELECT {_DOCUMENT} FROM documents WHERE tenant_id = :tenant AND id = :id"  # noqa: S608


async def list_after(scope: Scope, cursor: UUID | None, limit: int) -> list[Document]:
    """List documents, the newest first, those that come after `cursor`."""
    rows = await scope.db.all(LIST, tenant=scope.tenant, cursor=cursor, limit=limit)
    return [Document(**row) for row in rows]


LIST = f"""
SELECT {_DOCUMENT} FROM documents
WHERE tenant_id = :tenant AND (:cursor::uuid IS NULL OR id < :cursor)
ORDER BY id DESC LIMIT :limit
"""  # noqa: S608


async def save_upload(scope: Scope, values: dict[str, Any]) -> Document:
    """Insert a document, or give the one of this name its new content; its old chunks stay and answer."""
    row = await scope.db.one(SAVE_UPLOAD, tenant=scope.tenant, **values)
    assert row is not None
    return Document(**row)


SAVE_UPLOAD = f"""
INSERT INTO documents (tenant_id, id, name, media_type, size_bytes, sha256)
VALUES (:tenant, :id, :name, :media_type, :size_bytes, :sha256)
ON CONFLICT (tenant_id, name) DO UPDATE SET media_type = excluded.media_type, sha256 = excluded.sha256,
  size_bytes = excluded.size_bytes, version = documents.version + 1, status = 'pending', error_code = NULL,
  error_message = NULL, chunks_done = 0, chunks_total = NULL, updated_at = now()
RETURNING {_DOCUMENT}
"""  # noqa: S608


async def start(scope: Scope, document: DocumentId) -> Document | None:
    """Take a document into work; None when it is gone, or its content is indexed already."""
    row = await scope.db.one(START, tenant=scope.tenant, id=document)
    return None if row is None else Document(**row)


START = f"""
UPDATE documents SET status = 'processing', error_code = NULL, error_message = NULL,
  chunks_done = 0, chunks_total = NULL, updated_at = now()
WHERE tenant_id = :tenant AND id = :id AND status <> 'ready'
RETURNING {_DOCUMENT}
"""  # noqa: S608


async def progress(scope: Scope, document: Document, done: int, total: int) -> bool:
    """Record how far indexing is; False when the document was deleted or replaced meanwhile."""
    return (
        await scope.db.execute(
            PROGRESS, tenant=scope.tenant, id=document.id, sha256=document.sha256, done=done, total=total
        )
        == 1
    )


# A lost step of progress is no harm: the document's row is not waited for when it is being replaced.
PROGRESS = """
UPDATE documents SET chunks_done = :done, chunks_total = :total, updated_at = now()
WHERE tenant_id = :tenant AND id = :id AND sha256 = :sha256
"""


async def fail(scope: Scope, document: Document, status: Status, code: str, message: str) -> bool:
    """Say why a document has no answer to give; False when it was deleted or replaced meanwhile."""
    return await scope.db.execute(
        FAIL, tenant=scope.tenant, id=document.id, sha256=document.sha256,
        status=status, code=code, message=message,
    ) == 1  # fmt: skip


FAIL = """
UPDATE documents SET status = :status, error_code = :code, error_message = :message, updated_at = now()
WHERE tenant_id = :tenant AND id = :id AND sha256 = :sha256
"""


async def hold(scope: Scope, document: Document) -> Document | None:
    """Lock a document's row if it still has this content; None when it was deleted or replaced."""
    row = await scope.db.one(HOLD, tenant=scope.tenant, id=document.id, sha256=document.sha256)
    return None if row is None else Document(**row)


HOLD = f"""
SELECT {_DOCUMENT} FROM documents WHERE tenant_id = :tenant AND id = :id AND sha256 = :sha256 FOR UPDATE
"""  # noqa: S608


async def finish(scope: Scope, document: Document, language: str, pages: int | None, chunks: int) -> None:
    """Mark a document as ready, and its language as one of the corpus."""
    await scope.db.execute(
        FINISH, tenant=scope.tenant, id=document.id, language=language, pages=pages, chunks=chunks
    )
    await scope.db.execute(ADD_LANGUAGE, tenant=scope.tenant, language=language)


FINISH = """
UPDATE documents SET status = 'ready', error_code = NULL, error_message = NULL, language = :language,
  pages = :pages, chunks_done = :chunks, chunks_total = :chunks, indexed_sha256 = sha256, updated_at = now()
WHERE tenant_id = :tenant AND id = :id
"""
ADD_LANGUAGE = """
UPDATE corpora SET languages = languages || :language::text
WHERE tenant_id = :tenant AND NOT languages @> ARRAY[:language::text]
"""


async def claim_corpus(scope: Scope, model: str, dimension: int) -> str | None:
    """Give the corpus its embedding model with its first document; the name of another model that it has."""
    await scope.db.execute(CLAIM_CORPUS, tenant=scope.tenant, model=model, dimension=dimension)
    row = await scope.db.one(CORPUS, tenant=scope.tenant)
    assert row is not None
    same = row["embedding_model"] == model and row["dimension"] == dimension
    return None if same else str(row["embedding_model"])


# A corpus without chunks has no vectors that another model's could be mistaken for.
CLAIM_CORPUS = """
INSERT INTO corpora AS corpus (tenant_id, embedding_model, dimension) VALUES (:tenant, :model, :dimension)
ON CONFLICT (tenant_id) DO UPDATE
SET embedding_model = excluded.embedding_model, dimension = excluded.dimension
WHERE (corpus.embedding_model, corpus.dimension) <> (excluded.embedding_model, excluded.dimension)
  AND NOT EXISTS (SELECT FROM chunks WHERE chunks.tenant_id = :tenant)
"""
CORPUS = "SELECT embedding_model, dimension FROM corpora WHERE tenant_id = :tenant"


async def delete_chunks(scope: Scope, document: DocumentId) -> int:
    """Remove what a document's earlier version said."""
    return await scope.db.execute(DELETE_CHUNKS, tenant=scope.tenant, document=document)


DELETE_CHUNKS = "DELETE FROM chunks WHERE tenant_id = :tenant AND document_id = :document"


async def insert_chunks(scope: Scope, rows: Sequence[dict[str, Any]]) -> None:
    """Insert chunks with their vectors and words; rows as INSERT_CHUNK names them, but for the tenant."""
    shared = {"tenant": scope.tenant, "mark": tenant_mark(scope)}
    await scope.db.many(INSERT_CHUNK, [{**row, **shared} for row in rows])


# The tenant's mark is a word of every chunk, so that the full-text index never walks through other tenants'.
INSERT_CHUNK = """
INSERT INTO chunks (tenant_id, document_id, position, page, heading, text, language, embedding, lexemes)
VALUES (:tenant, :document, :position, :page, :heading, :text, :language, :embedding::halfvec,
  setweight(to_tsvector(:configuration::regconfig, :heading_words), 'A')
  || setweight(to_tsvector(:configuration::regconfig, :words), 'B')
  || array_to_tsvector(ARRAY[:mark::text]))
"""


def tenant_mark(scope: Scope) -> str:
    """The word that every chunk of a tenant carries; no text can contain it, since words have no colon."""
    return f"tenant:{scope.tenant.hex}"


async def delete(scope: Scope, document: DocumentId) -> list[str]:
    """Remove a document with its chunks; the contents it had, none when there was no such document."""
    rows = await scope.db.all(DELETE, tenant=scope.tenant, id=document)
    return list({value for row in rows for value in (row["sha256"], row["indexed_sha256"]) if value})


DELETE = "DELETE FROM documents WHERE tenant_id = :tenant AND id = :id RETURNING sha256, indexed_sha256"


async def is_content_used(scope: Scope, sha256: str) -> bool:
    """Tell whether any document still has this content."""
    return bool(await scope.db.value(IS_CONTENT_USED, tenant=scope.tenant, sha256=sha256))


IS_CONTENT_USED = "SELECT EXISTS (SELECT FROM documents WHERE tenant_id = :tenant AND sha256 = :sha256)"


async def restart_all(scope: Scope, model: str, dimension: int) -> list[DocumentId]:
    """Empty the corpus for another model; every document waits to be indexed again."""
    await scope.db.execute("DELETE FROM chunks WHERE tenant_id = :tenant", tenant=scope.tenant)
    await scope.db.execute(RESET_CORPUS, tenant=scope.tenant, model=model, dimension=dimension)
    rows = await scope.db.all(RESTART_ALL, tenant=scope.tenant)
    return [DocumentId(row["id"]) for row in rows]


RESET_CORPUS = """
INSERT INTO corpora (tenant_id, embedding_model, dimension) VALUES (:tenant, :model, :dimension)
ON CONFLICT (tenant_id) DO UPDATE
SET embedding_model = excluded.embedding_model, dimension = excluded.dimension
"""
RESTART_ALL = """
UPDATE documents SET status = 'pending', error_code = NULL, error_message = NULL, indexed_sha256 = NULL,
  chunks_done = 0, chunks_total = NULL, updated_at = now()
WHERE tenant_id = :tenant RETURNING id
"""


async def find_passage(scope: Scope, chunk_id: int) -> Passage:
    """Find a chunk by its number; raises PassageNotFound."""
    row = await scope.db.one(FIND_PASSAGE, tenant=scope.tenant, id=chunk_id)
    if row is None:
        raise PassageNotFound()
    return Passage(**row)


FIND_PASSAGE = """
SELECT c.id AS chunk_id, c.document_id, d.name AS document, c.page, c.heading, c.text, c.language, c.position
FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
WHERE c.tenant_id = :tenant AND c.id = :id
"""


async def list_passages(scope: Scope, document: DocumentId, after: int, limit: int) -> list[Passage]:
    """List a document's passages in their order, those that come after a position."""
    rows = await scope.db.all(LIST_PASSAGES, tenant=scope.tenant, document=document, after=after, limit=limit)
    return [Passage(**row) for row in rows]


LIST_PASSAGES = """
SELECT c.id AS chunk_id, c.document_id, d.name AS document, c.page, c.heading, c.text, c.language, c.position
FROM chunks c JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
WHERE c.tenant_id = :tenant AND c.document_id = :document AND c.position > :after
ORDER BY c.position LIMIT :limit
"""
