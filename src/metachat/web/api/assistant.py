"""The assistant: which models speak for it, and how they fare."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, put
from msgspec import Meta

from metachat.domain import assistant
from metachat.domain.accounts import ApiScope, Role
from metachat.domain.assistant import Fallback, Profile
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.access import AnyRequest
from metachat.web.api.fields import Line
from metachat.web.api.writing import Rights, write

Address = Annotated[str, Meta(max_length=500, pattern=r"^https?://[^\s\x00-\x1f]+$")]
Key = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[\x21-\x7e]+$")]

_MAY_SET = Rights(Role.ADMIN, ApiScope.ACCOUNT_WRITE)


class ModelView(msgspec.Struct, frozen=True):
    """A model; has_key tells whether a key is stored for it."""

    provider: str
    model: str
    base_url: str | None
    has_key: bool


class HealthView(msgspec.Struct, frozen=True):
    """A model that has failed; until resting_until it is not asked."""

    provider: str
    endpoint: str
    failures: int
    last_code: str
    failed_at: datetime
    resting_until: datetime | None


class AssistantView(msgspec.Struct, frozen=True):
    """The assistant's model, those that speak where it fails, in order, and what is known of failures."""

    model: ModelView
    fallbacks: list[ModelView]
    health: list[HealthView]


class FallbackFields(msgspec.Struct, frozen=True):
    """A model to ask; without api_key, the key stored at this place for the same address stays."""

    provider: Literal["openai", "anthropic", "ollama"]
    model: Line
    base_url: Address | None = None
    api_key: Key | None = None


class Fallbacks(msgspec.Struct, frozen=True):
    """The models that speak where the assistant's own fails, in order; at most five."""

    fallbacks: Annotated[list[FallbackFields], Meta(max_length=5)]


@get("/assistant", tags=["Assistant"])
async def show_assistant(request: AnyRequest) -> AssistantView:
    """Show which models speak for the assistant; keys are never shown."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_READ) as scope:
        return await _shown(scope, access.platform_of(request).encryption_key)


@put("/assistant/fallbacks", tags=["Assistant"])
async def set_fallbacks(request: AnyRequest, data: Fallbacks) -> Response[AssistantView]:
    """Set the models that speak where the assistant's own fails."""
    key = access.platform_of(request).encryption_key
    wanted = [Fallback(one.provider, one.model, one.base_url, one.api_key) for one in data.fallbacks]

    async def work(scope: Scope) -> AssistantView:
        await assistant.set_fallbacks(scope, key, wanted)
        return await _shown(scope, key)

    return await write(request, _MAY_SET, work, status=200)


async def _shown(scope: Scope, key: Keyring) -> AssistantView:
    profile = await assistant.profile(scope, key)
    health = [msgspec.convert(one, HealthView, from_attributes=True) for one in await assistant.health(scope)]
    return AssistantView(_model(profile), [_model(one) for one in profile.fallbacks], health)


def _model(one: Profile | Fallback) -> ModelView:
    return ModelView(one.provider, one.model, one.base_url, one.api_key is not None)


ROUTES = [show_assistant, set_fallbacks]
