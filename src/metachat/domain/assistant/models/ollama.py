"""Ollama, on this machine or another; a private address needs the operator's permission."""

import httpx2
from pydantic_ai.models.ollama import OllamaModel
from pydantic_ai.providers.ollama import OllamaProvider

from metachat.domain.assistant.model import Answerer, Profile
from metachat.domain.assistant.models.asking import Asking
from metachat.foundation.outbound import Outbound

_ADDRESS = "http://127.0.0.1:11434/v1"


def answerer(outbound: Outbound) -> Answerer:
    """Makes the answerer for models that Ollama runs."""
    return Asking("ollama", outbound, _model)


def _model(profile: Profile, client: httpx2.AsyncClient) -> OllamaModel:
    provider = OllamaProvider(
        base_url=profile.base_url or _ADDRESS, api_key=profile.api_key or "none", http_client=client
    )
    return OllamaModel(profile.model, provider=provider)
