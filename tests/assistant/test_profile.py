"""A tenant's assistant is its own, and its provider's key is readable to nobody else."""

import asyncpg
import pytest

from metachat.domain.assistant import Profile, profile, set_profile
from metachat.foundation.crypto import SealBroken
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId
from metachat.foundation.scope import open_scope

KEY = b"k" * 32
SETTLED = Profile(
    brand_name="Acme", tone="formal", answer_language="de", instructions="Be brief.", provider="anthropic",
    model="claude", base_url="https://models.example", api_key="sk-secret", temperature=0.5, max_tokens=300,
)  # fmt: skip


async def test_everybody_starts_with_the_built_in_answerer(app_db: Database, tenant: TenantId) -> None:
    async with open_scope(app_db, tenant, actor="user:x") as scope:
        assert await profile(scope, KEY) == Profile()


async def test_what_is_settled_is_read_by_the_worker_and_by_no_stranger(
    app_db: Database, worker_db: Database, tenant: TenantId, stranger: TenantId
) -> None:
    for settled in (Profile(), SETTLED):
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
    assert b"sk-secret" not in sealed
    assert "sk-secret" not in repr(SETTLED)
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
