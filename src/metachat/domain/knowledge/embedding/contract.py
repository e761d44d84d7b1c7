"""What an embedding model must do."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from metachat.foundation.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# numpy is the models' own: a process that embeds nothing never imports it.
Vector: TypeAlias = "NDArray[np.float32]"


class EmbeddingFailed(Unavailable):
    """The embedding model did not answer; try again shortly."""

    code = "embedding_failed"


class Embedder(Protocol):
    """Turns text into vectors of length one, so that their inner product is their cosine.

    name and dimension are recorded with every corpus: vectors of two models are never compared.
    """

    @property
    def name(self) -> str:
        """The model's name, which changes whenever its vectors do."""
        ...

    @property
    def dimension(self) -> int:
        """The length of its vectors."""
        ...

    async def embed_query(self, text: str) -> Vector:
        """Embed a question; raises EmbeddingFailed."""
        ...

    async def embed_passages(self, texts: Sequence[str]) -> list[Vector]:
        """Embed passages, in their order; raises EmbeddingFailed."""
        ...
