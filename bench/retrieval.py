"""Retrieval: 20,000 chunks of 200 uneven tenants, hybrid search beside exact search; and ingest."""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import asyncpg
import numpy as np
from numpy.typing import NDArray

import metachat.demo
from bench.result import Result
from metachat.domain import knowledge
from metachat.domain.knowledge import Query
from metachat.domain.knowledge.embedding.bundled import BundledEmbedder
from metachat.domain.knowledge.indexing import Workshop, index
from metachat.domain.knowledge.store import INSERT_CHUNK, tenant_mark
from metachat.foundation import migrations
from metachat.foundation.blobs import DiskBlobs
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, uuid7
from metachat.foundation.scope import open_scope
from metachat.operations.local.postgres import Cluster

CHUNKS, TENANTS, DIMENSION = 20_000, 200, 384
SEED = 20_240_611
HELP = Path(metachat.demo.__file__).parent / "help"
QUESTIONS = 400
WORDS_OF_A_CHUNK, WORDS_OF_A_QUESTION = 90, 6

_FREQUENCIES = 1 / np.arange(1, 20_001)

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """One tenant's chunks: their numbers in the database, and their vectors as the database rounds them."""

    tenant: TenantId
    ids: list[int]
    vectors: Vectors


async def run() -> list[Result]:
    """Measure search and ingest on a database of their own."""
    async with served() as dsns:
        worker, app = await Database.open(dsns["worker"]), await Database.open(dsns["app"])
        try:
            corpora = await fill(worker)
            superuser = await asyncpg.connect(dsns["superuser"])
            await superuser.execute("VACUUM ANALYZE chunks")  # what autovacuum does within a minute
            await superuser.close()
            return [*await search(app, corpora), *await ingest(worker)]
        finally:
            await worker.close()
            await app.close()


async def search(app: Database, corpora: list[Corpus]) -> list[Result]:
    """Questions to tenants in proportion to their chunks; each once by meaning and words, once by meaning."""
    random = np.random.default_rng(SEED + 1)
    weights = np.array([len(corpus.ids) for corpus in corpora]) / CHUNKS
    hybrid: list[float] = []
    recalls: list[float] = []
    for number in range(QUESTIONS + 20):
        corpus = corpora[random.choice(len(corpora), p=weights)]
        vector = unit(corpus.vectors[random.integers(len(corpus.ids))] + random.normal(0, 0.04, DIMENSION))
        # The most frequent words are what a search leaves out of a question.
        words = tuple(vocabulary(random, WORDS_OF_A_QUESTION, rarer_than=50))
        began = time.perf_counter()
        await found(app, corpus, vector, words)
        if number >= 20:  # the first ones fill caches and plans
            hybrid.append((time.perf_counter() - began) * 1000)
        recalls.append(recall(await found(app, corpus, vector, ()), corpus, vector))
    return [
        Result("hybrid search, p50", statistics.median(hybrid), "ms"),
        Result("hybrid search, p95", statistics.quantiles(hybrid, n=20)[-1], "ms", 20),
        Result(
            "recall@10 against exact search in numpy", statistics.fmean(recalls), "", 0.95, better="higher"
        ),
    ]


async def found(app: Database, corpus: Corpus, vector: Vectors, words: tuple[str, ...]) -> list[int]:
    """The chunks that a search finds."""
    query = Query(" ".join(words), words, vector, "synthetic", DIMENSION)
    async with open_scope(app, corpus.tenant, actor="bench") as scope:
        passages = await knowledge.find_passages(scope, query, limit=10)
    return [passage.chunk_id for passage in passages]


def recall(found: list[int], corpus: Corpus, vector: Vectors) -> float:
    """The share of the truly nearest ten that was found."""
    nearest = np.argsort(-(corpus.vectors @ vector))[:10]
    truth = {corpus.ids[place] for place in nearest}
    return len(truth & set(found)) / len(truth)


async def ingest(worker: Database) -> list[Result]:
    """Index one document of many chunks with the bundled model, from its file to being found."""
    content = "\n\n".join(path.read_text() for path in sorted(HELP.rglob("*.md"))).encode()
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        blobs, embedder = DiskBlobs(Path(folder)), BundledEmbedder()
        workshop = Workshop(worker, blobs, embedder, asyncio.Semaphore(1))
        tenant = await add_tenant(worker, "ingest")
        async with open_scope(worker, tenant, actor="bench") as scope:
            document = await knowledge.upload(scope, blobs, "help.md", _once(content))
        await embedder.embed_query("warm")
        began = time.perf_counter()
        await index(workshop, tenant, document.id)
        seconds = time.perf_counter() - began
        embedder.close()
        async with open_scope(worker, tenant, actor="bench") as scope:
            done = await knowledge.find_document(scope, document.id)
    assert done.status == "ready"
    return [
        Result(
            f"ingest with the bundled model, {done.chunks_done} chunks",
            done.chunks_done / seconds,
            "chunks/s",
        )
    ]


async def fill(worker: Database) -> list[Corpus]:
    """Give each tenant its share: the largest has a quarter of all chunks, half of them have a few."""
    random = np.random.default_rng(SEED)
    shares = 1 / np.arange(1, TENANTS + 1) ** 1.05
    ends = np.round(np.cumsum(shares / shares.sum()) * CHUNKS).astype(int)
    corpora = []
    for number, (start, end) in enumerate(pairwise([0, *ends.tolist()])):
        topics = random.normal(size=(max(1, (end - start) // 50), DIMENSION))
        vectors = topics[random.integers(len(topics), size=end - start)] + random.normal(
            0, 0.7, (end - start, DIMENSION)
        )
        corpora.append(await _fill_one(worker, random, f"tenant-{number}", unit(vectors)))
    return corpora


async def _fill_one(worker: Database, random: np.random.Generator, slug: str, vectors: Vectors) -> Corpus:
    tenant, document = await add_tenant(worker, slug), uuid7()
    async with open_scope(worker, tenant, actor="bench") as scope:
        await scope.db.execute(
            "INSERT INTO corpora (tenant_id, embedding_model, dimension, languages)"
            " VALUES (:tenant, 'synthetic', :dimension, '{en,de}')",
            tenant=tenant, dimension=DIMENSION,
        )  # fmt: skip
        await scope.db.execute(
            "INSERT INTO documents (tenant_id, id, name, media_type, size_bytes, sha256, status)"
            " VALUES (:tenant, :id, 'synthetic.txt', 'text/plain', 1, 'none', 'ready')",
            tenant=tenant, id=document,
        )  # fmt: skip
        texts = [" ".join(vocabulary(random, WORDS_OF_A_CHUNK)) for _ in vectors]
        shared = {
            "tenant": tenant, "mark": tenant_mark(scope), "document": document, "page": None, "heading": None,
            "language": "en", "configuration": "english", "heading_words": "",
        }  # fmt: skip
        await scope.db.many(
            INSERT_CHUNK,
            [
                {**shared, "position": place, "text": text, "words": text, "embedding": vector}
                for place, (text, vector) in enumerate(zip(texts, vectors, strict=True))
            ],
        )
        rows = await scope.db.all("SELECT id FROM chunks WHERE tenant_id = :t ORDER BY position", t=tenant)
    return Corpus(tenant, [row["id"] for row in rows], vectors)


async def add_tenant(database: Database, slug: str) -> TenantId:
    """Put a bare tenant into the database."""
    tenant = TenantId(uuid7())
    async with database.transaction(tenant=tenant) as db:
        await db.execute(
            "INSERT INTO tenants (tenant_id, slug, name) VALUES (:tenant, :slug, :slug)",
            tenant=tenant, slug=slug,
        )  # fmt: skip
    return tenant


def vocabulary(random: np.random.Generator, count: int, *, rarer_than: int = 0) -> list[str]:
    """Words of a language of 20,000, as frequent as words are (Zipf)."""
    frequencies = _FREQUENCIES[rarer_than:]
    ranks = random.choice(len(frequencies), size=count, p=frequencies / frequencies.sum())
    return [f"word{rank + rarer_than}" for rank in ranks]


def unit(vectors: NDArray[np.float64]) -> Vectors:
    """Vectors of length one, as halfvec rounds them."""
    scaled = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return scaled.astype(np.float16).astype(np.float32)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@asynccontextmanager
async def served() -> AsyncIterator[dict[str, str]]:
    """A Postgres of its own with the schema; its addresses by role."""
    passwords = {f"metachat_{role}": secrets.token_urlsafe(24) for role in ("owner", "app", "worker")}
    with tempfile.TemporaryDirectory(prefix="metachat-bench-") as folder:
        cluster = Cluster(Path(folder) / "postgres")
        cluster.ensure()
        cluster.start()
        try:
            superuser = cluster.dsn("postgres", "postgres", cluster.superuser_password)
            await migrations.prepare(superuser, "metachat", passwords)
            dsns = {
                role.removeprefix("metachat_"): cluster.dsn(role, "metachat", password)
                for role, password in passwords.items()
            }
            await migrations.migrate(dsns["owner"])
            yield {**dsns, "superuser": cluster.dsn("postgres", "metachat", cluster.superuser_password)}
        finally:
            cluster.stop()
