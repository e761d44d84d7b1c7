"""What a company's documents say: upload, indexing and search."""

from metachat.domain.knowledge.embedding.contract import Embedder, EmbeddingFailed
from metachat.domain.knowledge.model import (
    Chunk,
    Document,
    DocumentNotFound,
    Passage,
    PassageNotFound,
    Section,
)

__all__ = [
    "Chunk",
    "Document",
    "DocumentNotFound",
    "Embedder",
    "EmbeddingFailed",
    "Passage",
    "PassageNotFound",
    "Section",
]
