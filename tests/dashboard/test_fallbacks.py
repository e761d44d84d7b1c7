"""The page on which a tenant names the models that speak where their own fails."""

from tests.dashboard.conftest import Office

from metachat.domain import assistant
from metachat.domain.accounts import Role
from metachat.domain.assistant import Failed, Fallback
from metachat.domain.assistant.actions import note_failures
from metachat.foundation.scope import open_scope

PAGE = "/dashboard/assistant"
FORM = {"tone": "formal", "provider": "openai", "model": "big"}


async def test_fallbacks_are_named_and_their_keys_stay_secret(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens(PAGE)
    first = {
        "fallback_1_provider": "anthropic",
        "fallback_1_model": "small",
        "fallback_1_api_key": "sk-standby",
    }
    third = {"fallback_3_provider": "ollama", "fallback_3_model": ""}
    await browser.sends(PAGE, **FORM, **first, **third)
    assert "Name the model" in browser.text
    await browser.sends(PAGE, **FORM, **first, **{**third, "fallback_3_model": "local"})
    page = await browser.opens(PAGE)
    assert "standby" not in page.text
    await browser.sends(PAGE, **FORM)
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        kept = (await assistant.profile(scope, acme.platform.encryption_key)).fallbacks
    assert kept == (Fallback("anthropic", "small", None, "sk-standby"), Fallback("ollama", "local"))
    await browser.sends(PAGE, **FORM, fallback_1_provider="extractive")
    async with open_scope(acme.platform.database, acme.tenant, actor="test") as scope:
        assert (await assistant.profile(scope, acme.platform.encryption_key)).fallbacks == ()


async def test_a_model_that_fails_is_named_on_the_page(acme: Office) -> None:
    async with open_scope(acme.platform.database, acme.tenant, actor="worker") as scope:
        await note_failures(scope, [Failed("openai", "models.example/v1 big", "model_timed_out", 60)])
    browser = await acme.enters(Role.ADMIN)
    await browser.opens(PAGE)
    assert "models.example/v1 big: 1 times, last because of model_timed_out" in browser.text
    assert "Left alone until" in browser.text
