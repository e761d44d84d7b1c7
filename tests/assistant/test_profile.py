"""A tenant's assistant is its own, and its provider's key is readable to nobody else."""

from dataclasses import replace

import asyncpg
import pytest

from metachat.domain import events
from metachat.domain.assistant import Failed, Fallback, Profile, health, profile, set_profile
from metachat.domain.assistant.actions import note_failures
from metachat.foundation.crypto import SealBroken
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import open_scope

KEY = Keyring.of("k" * 32)
SETTLED = Profile(
    brand_name="Acme", tone="formal", answer_language="de", instructions="Be brief.", provider="anthropic",
    model="claude", base_url="https://models.example", api_key="sk-secret", temperature=0.5, max_tokens=300,
    fallbacks=(
        Fallback("openai", "small", "https://other.example/v1", "sk-standby"), Fallback("ollama", "local"),
    ),
)  # fmt: skip


async def test_everybody_starts_with_the_built_in_answerer(app_db: Database, tenant: TenantId) -> None:
    async with open_scope(app_db, tenant, actor="user:x") as scope:
        assert await profile(scope, KEY) == Profile()


async def test_what_is_settled_is_read_by_the_worker_and_by_no_stranger(
    app_db: Database, worker_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    for settled in (Profile(), replace(SETTLED, fallbacks=SETTLED.fallbacks[::-1]), SETTLED):
        async with open_scope(app_db, tenant, actor="user:x") as scope:
            await set_profile(scope, KEY, settled)
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        assert await profile(scope, KEY) == SETTLED
    async with open_scope(worker_db, stranger, actor="worker") as scope:
        assert await profile(scope, KEY) == Profile()


async def test_the_key_is_sealed_for_its_place(
    app_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    async with open_scope(app_db, tenant, actor="user:x") as scope:
        await set_profile(scope, KEY, SETTLED)
        sealed = await scope.db.value("SELECT api_key_sealed FROM assistants")
        standby = await scope.db.value("SELECT api_key_sealed FROM assistant_fallbacks WHERE place = 1")
    assert b"sk-secret" not in sealed
    assert b"sk-standby" not in standby
    assert not {"sk-secret", "sk-standby"} & set(repr(SETTLED).split("'"))
    async with open_scope(app_db, stranger, actor="user:y") as scope:
        await set_profile(scope, KEY, Profile())
        await scope.db.execute("UPDATE assistants SET api_key_sealed = :sealed", sealed=sealed)
        with pytest.raises(SealBroken):
            await profile(scope, KEY)


async def test_an_unknown_tone_is_refused(app_db: Database, tenant: TenantId) -> None:
    async with open_scope(app_db, tenant, actor="user:x") as scope:
        with pytest.raises(asyncpg.CheckViolationError):
            await scope.db.execute(
                "INSERT INTO assistants (tenant_id, tone) VALUES (:tenant, 'rude')", tenant=tenant
            )


async def test_failures_of_models_are_told_to_their_tenant_alone(
    app_db: Database, worker_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    failures = [
        Failed("openai", "models.example big", "model_timed_out", 0),
        Failed("openai", "models.example big", "model_unreachable", 30),
        Failed("openai", "models.example big", "model_rests", 25),
    ]
    async with open_scope(worker_db, tenant, actor="worker") as scope:
        await note_failures(scope, failures)
    async with open_scope(app_db, tenant, actor="user:x") as scope:
        [known] = await health(scope)
        told = [event.kind for event in await events.read_after(scope, 0, limit=10)]
    assert (known.failures, known.last_code) == (2, "model_unreachable")
    assert known.resting_until is not None
    assert 29 < (known.resting_until - known.failed_at).total_seconds() < 31
    assert told == ["assistant.model_rests"]
    async with open_scope(app_db, stranger, actor="user:y") as scope:
        assert await health(scope) == []
    async with app_db.transaction() as db:
        [total] = await db.all("SELECT * FROM model_health_totals()")
    assert total == {"provider": "openai", "failures": 2, "resting": 1}
