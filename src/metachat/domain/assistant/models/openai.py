"""OpenAI, and every service that speaks its chat completions."""

import httpx2
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from metachat.domain.assistant.model import Answerer, Profile
from metachat.domain.assistant.models.asking import Asking
from metachat.foundation.outbound import Outbound


def answerer(outbound: Outbound) -> Answerer:
    """Makes the answerer for OpenAI-compatible models."""
    return Asking("openai", outbound, _model)


def _model(profile: Profile, client: httpx2.AsyncClient) -> OpenAIChatModel:
    key = profile.api_key or "none"
    if profile.base_url is None:
        return OpenAIChatModel(profile.model, provider=OpenAIProvider(api_key=key, http_client=client))
    provider = OpenAICompatibleProvider(
        "openai-compatible", base_url=profile.base_url, api_key=key, http_client=client
    )
    return OpenAIChatModel(profile.model, provider=provider)
