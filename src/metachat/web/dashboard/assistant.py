"""The page of the assistant: how it speaks, and which model writes."""

import dataclasses
from typing import Any, get_args

from litestar import Response, get, post
from litestar.response import Redirect

from metachat.domain import assistant, channels
from metachat.domain.accounts import Role
from metachat.domain.assistant import Fallback, Profile
from metachat.domain.assistant.model import Provider, Tone
from metachat.domain.channels import webchat
from metachat.domain.conversations.model import LANGUAGES
from metachat.foundation.errors import Invalid
from metachat.foundation.scope import Scope
from metachat.web import access
from metachat.web.dashboard.problems import explain
from metachat.web.dashboard.visit import AnyRequest, enter, fields, go, t

_PAGE = "/dashboard/assistant"
_LONGEST = {"brand_name": 100, "instructions": 4000, "model": 200, "base_url": 500, "api_key": 500}
_FALLBACKS = 3


class BadProfile(Invalid):
    """The assistant cannot be set like this."""

    code = "bad_profile"


@get(_PAGE)
async def show_assistant(request: AnyRequest) -> Response[str]:
    """Show how the assistant is set."""
    async with enter(request, Role.ADMIN) as visit:
        profile = await assistant.profile(visit.scope, access.platform_of(request).encryption_key)
        return visit.page(
            "assistant.html", **await _choices(request, visit.scope), profile=profile, refused=""
        )


@post(_PAGE, status_code=200)
async def set_assistant(request: AnyRequest) -> Response[str] | Redirect:
    """Set how the assistant speaks."""
    form, key = await fields(request), access.platform_of(request).encryption_key
    async with enter(request, Role.ADMIN) as visit:
        before = await assistant.profile(visit.scope, key)
        try:
            await assistant.set_profile(visit.scope, key, _wanted(form, before))
        except BadProfile as refusal:
            values = {**await _choices(request, visit.scope), "refused": explain(refusal)}
            return visit.page("assistant.html", status=422, profile=_written(before, form), **values)
    return go(_PAGE, t("settings", "saved"))


async def _choices(request: AnyRequest, scope: Scope) -> dict[str, Any]:
    websites = [channel for channel in await channels.of_tenant(scope) if channel.kind == "webchat"]
    address = access.platform_of(request).settings.address
    return {
        "tones": get_args(Tone),
        "providers": get_args(Provider),
        "fallback_places": range(_FALLBACKS),
        "health": await assistant.health(scope),
        "answer_languages": LANGUAGES,
        "snippets": [(channel.name, webchat.snippet(address, channel)) for channel in websites],
    }


def _wanted(form: dict[str, str], before: Profile) -> Profile:
    for name, longest in _LONGEST.items():
        if len(form.get(name, "")) > longest:
            raise BadProfile(f"at most {longest} characters fit")
    provider = next((name for name in get_args(Provider) if name == form.get("provider")), None)
    tone = next((name for name in get_args(Tone) if name == form.get("tone")), None)
    if provider is None or tone is None:
        raise BadProfile("choose a tone and a provider")
    wanted = _written(before, form)
    if provider != "extractive" and not wanted.model:
        raise BadProfile("name the model")
    if wanted.base_url and not wanted.base_url.startswith(("https://", "http://")):
        raise BadProfile("an address begins with https:// or http://")
    # A key belongs to where it is sent: another provider or address never gets the one that was stored.
    moved = (provider, wanted.base_url) != (before.provider, before.base_url)
    key = form.get("api_key", "").strip() or (None if moved else before.api_key)
    return dataclasses.replace(
        wanted, tone=tone, provider=provider, api_key=key, fallbacks=_fallbacks(form, before)
    )


def _fallbacks(form: dict[str, str], before: Profile) -> tuple[Fallback, ...]:
    """The models that speak where the first one fails; a form without their fields leaves them."""
    if "fallback_1_provider" not in form:
        return before.fallbacks
    wanted = [one for place in range(1, _FALLBACKS + 1) if (one := _fallback(form, f"fallback_{place}_"))]
    return assistant.with_keys(before.fallbacks, wanted)


def _fallback(form: dict[str, str], prefix: str) -> Fallback | None:
    told = {
        name: form.get(prefix + name, "").strip() for name in ("provider", "model", "base_url", "api_key")
    }
    provider = next((name for name in get_args(Provider) if name == told["provider"]), None)
    if provider is None or provider == "extractive":
        return None
    if not told["model"]:
        raise BadProfile("name the model")
    if told["base_url"] and not told["base_url"].startswith(("https://", "http://")):
        raise BadProfile("an address begins with https:// or http://")
    if any(len(value) > _LONGEST[name] for name, value in told.items() if name in _LONGEST):
        raise BadProfile("a field is too long")
    return Fallback(provider, told["model"], told["base_url"] or None, told["api_key"] or None)


def _written(profile: Profile, form: dict[str, str]) -> Profile:
    """A profile with what was written into the form, valid or not."""
    language = form.get("answer_language")
    return dataclasses.replace(
        profile,
        brand_name=form.get("brand_name", "").strip(),
        instructions=form.get("instructions", "").strip(),
        model=form.get("model", "").strip(),
        base_url=form.get("base_url", "").strip() or None,
        answer_language=language if language in LANGUAGES else None,
    )


ROUTES: list[Any] = [show_assistant, set_assistant]
