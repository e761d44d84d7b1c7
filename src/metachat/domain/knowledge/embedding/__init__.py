"""Models that turn text into vectors, behind one contract."""

from metachat.domain.knowledge.embedding.contract import Embedder, EmbeddingFailed

__all__ = ["Embedder", "EmbeddingFailed"]
