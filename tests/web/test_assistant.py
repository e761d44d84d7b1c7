"""The models that speak for an assistant, over the API and on its page."""

from tests.web.conftest import Office

from metachat.domain.accounts import ApiScope, Role
from metachat.domain.assistant import Failed
from metachat.domain.assistant.actions import note_failures
from metachat.foundation.scope import open_scope

PATH = "/api/v1/assistant"
STANDBY = {
    "provider": "openai",
    "model": "small",
    "base_url": "https://models.example/v1",
    "api_key": "sk-one",
}


async def test_fallbacks_are_set_in_order_and_their_keys_stay_secret(acme: Office, rival: Office) -> None:
    admin, agent = await acme.enters(Role.ADMIN), await acme.enters(Role.AGENT)
    local = {"provider": "ollama", "model": "local"}
    assert (await agent.sends("PUT", f"{PATH}/fallbacks", json={"fallbacks": [STANDBY]})).status_code == 403
    answer = await admin.sends("PUT", f"{PATH}/fallbacks", json={"fallbacks": [STANDBY, local]})
    assert answer.status_code == 200, answer.text
    assert "sk-one" not in answer.text
    shown = (await admin.sends("GET", PATH)).json()
    assert [(one["model"], one["has_key"]) for one in shown["fallbacks"]] == [
        ("small", True),
        ("local", False),
    ]
    boss = await rival.enters(Role.OWNER)
    assert (await boss.sends("GET", PATH)).json()["fallbacks"] == []


async def test_a_key_stays_where_it_belongs(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    await admin.sends("PUT", f"{PATH}/fallbacks", json={"fallbacks": [STANDBY]})
    keyless = {name: value for name, value in STANDBY.items() if name != "api_key"}
    for change, kept in (({"model": "large"}, True), ({"base_url": "https://evil.example"}, False)):
        answer = await admin.sends("PUT", f"{PATH}/fallbacks", json={"fallbacks": [keyless | change]})
        assert answer.json()["fallbacks"][0]["has_key"] is kept


async def test_what_is_no_model_is_refused(acme: Office) -> None:
    admin = await acme.enters(Role.ADMIN)
    for bad in (
        {"provider": "extractive", "model": "x"},
        {"provider": "openai", "model": ""},
        {"provider": "openai", "model": "x", "base_url": "file:///etc/passwd"},
        {"provider": "openai", "model": "x", "api_key": "two words"},
    ):
        answer = await admin.sends("PUT", f"{PATH}/fallbacks", json={"fallbacks": [bad]})
        assert answer.status_code in (400, 422), bad
    many = {"fallbacks": [STANDBY] * 6}
    assert (await admin.sends("PUT", f"{PATH}/fallbacks", json=many)).status_code in (400, 422)


async def test_a_key_reads_with_its_scope_only(acme: Office) -> None:
    right, wrong = await acme.key(ApiScope.ACCOUNT_READ), await acme.key(ApiScope.ASK)
    for key, status in ((right, 200), (wrong, 403)):
        answer = await acme.client.get(PATH, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status


async def test_a_model_that_fails_is_shown_to_its_tenant(acme: Office, rival: Office) -> None:
    async with open_scope(acme.platform.database, acme.tenant, actor="worker") as scope:
        await note_failures(scope, [Failed("openai", "models.example/v1 small", "model_timed_out", 60)])
    [told] = (await (await acme.enters(Role.ADMIN)).sends("GET", PATH)).json()["health"]
    assert (told["last_code"], told["failures"]) == ("model_timed_out", 1)
    assert told["resting_until"] > told["failed_at"]
    assert (await (await rival.enters(Role.ADMIN)).sends("GET", PATH)).json()["health"] == []
    metrics = await acme.client.get("/metrics")
    assert 'metachat_models_resting{provider="openai"} 1.0' in metrics.text
