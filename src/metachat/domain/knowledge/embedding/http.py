"""Embedding models over HTTP: endpoints that speak OpenAI's protocol, and Ollama's own."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from metachat.domain.knowledge.embedding.contract import EmbeddingFailed, Vector
from metachat.foundation.outbound import Outbound, Unreachable

# What the index holds: a page of it takes no longer vector. Models whose vectors may be shortened (they
# say so) lose little; the first numbers carry the most.
LONGEST = 1300

_BATCH = 32
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers; key None when it wants none. dimension is what the model gives, unshortened."""

    protocol: Literal["openai", "ollama"]
    url: str
    model: str
    dimension: int
    key: str | None = field(default=None, repr=False)


class _OpenAIItem(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _OpenAIAnswer(msgspec.Struct, frozen=True):
    data: list[_OpenAIItem]


class _OllamaAnswer(msgspec.Struct, frozen=True):
    embeddings: list[list[float]]


class HttpEmbedder:
    """Asks an endpoint, through the guarded way out."""

    def __init__(self, endpoint: Endpoint, outbound: Outbound) -> None:
        self.name = f"{endpoint.protocol}:{endpoint.model}"
        self.dimension = min(endpoint.dimension, LONGEST)
        self._endpoint = endpoint
        self._outbound = outbound

    async def embed_query(self, text: str) -> Vector:
        """Embed a question; raises EmbeddingFailed."""
        return (await self._embed([text]))[0]

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Embed passages, in their order; raises EmbeddingFailed."""
        vectors: list[Vector] = []
        for start in range(0, len(texts), _BATCH):
            vectors.extend(await self._embed(texts[start : start + _BATCH]))
        return vectors

    async def _embed(self, texts: Sequence[str]) -> list[Vector]:
        cleaned = [text.replace("\0", " ") or " " for text in texts]
        vectors = self._parse(await self._ask(cleaned))
        if len(vectors) != len(cleaned):
            raise EmbeddingFailed(f"{self.name} gave {len(vectors)} vectors for {len(cleaned)} texts")
        return [self._shaped(vector) for vector in vectors]

    async def _ask(self, texts: list[str]) -> bytes:
        body = msgspec.json.encode({"model": self._endpoint.model, "input": texts})
        headers = {"Content-Type": "application/json"}
        if self._endpoint.key:
            headers["Authorization"] = f"Bearer {self._endpoint.key}"
        path = "/embeddings" if self._endpoint.protocol == "openai" else "/api/embed"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                answer = await self._outbound.request(
                    "POST", self._endpoint.url.rstrip("/") + path, headers=headers, content=body
                )
            except Unreachable as error:
                if error.permanent or attempt == _ATTEMPTS:
                    raise EmbeddingFailed(f"{self.name}: {error}") from error
            else:
                if answer.status == 200:
                    return answer.content
                if (answer.status < 500 and answer.status != 429) or attempt == _ATTEMPTS:
                    raise EmbeddingFailed(f"{self.name} answered {answer.status}")
            await asyncio.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

    def _parse(self, content: bytes) -> list[list[float]]:
        try:
            if self._endpoint.protocol == "ollama":
                return msgspec.json.decode(content, type=_OllamaAnswer).embeddings
            items = msgspec.json.decode(content, type=_OpenAIAnswer).data
        except msgspec.DecodeError as error:
            raise EmbeddingFailed(f"{self.name} gave an answer that is no list of vectors") from error
        return [item.embedding for item in sorted(items, key=lambda item: item.index)]

    def _shaped(self, numbers: list[float]) -> Vector:
        if len(numbers) != self._endpoint.dimension:
            raise EmbeddingFailed(
                f"{self.name} gave {len(numbers)} numbers, the settings say {self._endpoint.dimension}"
            )
        vector = np.asarray(numbers[: self.dimension], dtype=np.float32)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise EmbeddingFailed(f"{self.name} gave a vector without a direction")
        return vector / length
