"""Anthropic's messages."""

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from metachat.domain.assistant.model import Answerer, Profile
from metachat.domain.assistant.models.asking import Asking
from metachat.foundation.outbound import Outbound

_ADDRESS = "https://api.anthropic.com"


def answerer(outbound: Outbound) -> Answerer:
    """Makes the answerer for Anthropic's models."""
    return Asking("anthropic", outbound, _model)


def _model(profile: Profile, client: httpx2.AsyncClient) -> AnthropicModel:
    asked = AsyncAnthropic(
        api_key=profile.api_key or "none", base_url=profile.base_url or _ADDRESS, http_client=client
    )
    return AnthropicModel(profile.model, provider=AnthropicProvider(anthropic_client=asked))
