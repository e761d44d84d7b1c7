"""An embedder whose vectors a test can foresee: texts that share words point the same way."""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from metachat.domain.knowledge import Vector
from metachat.domain.knowledge.language import words_of


class ScriptedEmbedder:
    """A bag of hashed words, normalised; `before_batch` lets a test step in between two batches."""

    def __init__(self, name: str = "scripted", dimension: int = 64) -> None:
        self.name, self.dimension = name, dimension
        self.passages = 0
        self.before_batch: Callable[[], object] = lambda: None

    async def embed_query(self, text: str) -> Vector:
        """Embed a question."""
        return self._vector(text)

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Embed passages, and count them."""
        result = self.before_batch()
        if hasattr(result, "__await__"):
            await result  # type: ignore[misc]
        self.passages += len(texts)
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        vector = np.zeros(self.dimension, dtype=np.float32)
        for word in words_of(text):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector + np.float32(self.dimension**-0.5)
