"""Model providers under the Answerer contract; what they need is imported when the first one is asked."""

from collections.abc import Mapping

from metachat.domain.assistant.extractive import Extractive
from metachat.domain.assistant.model import Answerer, Provider
from metachat.domain.assistant.models.chain import Chain
from metachat.domain.assistant.models.hosted import Hosted
from metachat.domain.knowledge import Embedder
from metachat.foundation.outbound import Outbound

__all__ = ["Chain", "answerers"]


def answerers(embedder: Embedder, outbound: Outbound) -> Mapping[Provider, Answerer]:
    """Gives what answers for each provider that a profile may name."""
    return {
        "extractive": Extractive(embedder),
        "openai": Hosted("openai", outbound),
        "anthropic": Hosted("anthropic", outbound),
        "ollama": Hosted("ollama", outbound),
    }
