"""The assistants table: one row a tenant that has settled anything; its fallbacks, its models' health."""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec

from metachat.domain.assistant.model import Failed, Fallback, Health, HealthTotal, Profile
from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.foundation.sealed_columns import FALLBACK_KEYS, MODEL_KEYS
from metachat.foundation.sealing import Place, seal, unseal

_PROFILE = "SELECT assistant_of(:tenant)::text"

_DROP_FALLBACKS = "DELETE FROM assistant_fallbacks WHERE tenant_id = :tenant"

_ADD_FALLBACK = """
    INSERT INTO assistant_fallbacks (tenant_id, place, provider, model, base_url, api_key_sealed)
    VALUES (:tenant, :place, :provider, :model, :base_url, :api_key_sealed)
"""

_NOTE_FAILURE = """
    INSERT INTO model_health AS h (tenant_id, provider, endpoint, failures, last_code, failed_at,
                                   resting_until)
    VALUES (:tenant, :provider, :endpoint, 1, :code, :now, :resting_until)
    ON CONFLICT (tenant_id, provider, endpoint) DO UPDATE SET
      failures = h.failures + 1, last_code = excluded.last_code, failed_at = excluded.failed_at,
      resting_until = coalesce(excluded.resting_until, h.resting_until)
"""

_HEALTH = """
    SELECT provider, endpoint, failures, last_code, failed_at, resting_until FROM model_health
    WHERE tenant_id = :tenant ORDER BY failed_at DESC LIMIT 20
"""

# One statement for first and later times, so that two administrators saving at once cannot fail.
_SAVE = """
    INSERT INTO assistants (tenant_id, brand_name, tone, answer_language, instructions, provider, model,
                            base_url, api_key_sealed, temperature, max_tokens, updated_at)
    VALUES (:tenant, :brand_name, :tone, :answer_language, :instructions, :provider, :model, :base_url,
            :api_key_sealed, :temperature, :max_tokens, :now)
    ON CONFLICT (tenant_id) DO UPDATE SET
      brand_name = excluded.brand_name, tone = excluded.tone, answer_language = excluded.answer_language,
      instructions = excluded.instructions, provider = excluded.provider, model = excluded.model,
      base_url = excluded.base_url, api_key_sealed = excluded.api_key_sealed,
      temperature = excluded.temperature, max_tokens = excluded.max_tokens, updated_at = excluded.updated_at
"""


async def profile(scope: Scope, key: Keyring) -> Profile:
    """Reads the tenant's assistant, or the one that everybody starts with; key unseals the provider's key."""
    settled = await scope.db.value(_PROFILE, tenant=scope.tenant)
    return unsealed(scope.tenant, key, None if settled is None else msgspec.json.decode(settled))


def unsealed(tenant: TenantId, key: Keyring, settled: Mapping[str, Any] | None) -> Profile:
    """Makes a profile of what `assistant_of` gives; None makes the one that everybody starts with."""
    if settled is None:
        return Profile()
    values = dict(settled)
    sealed = values.pop("api_key_sealed")
    stored = enumerate(values.pop("fallbacks") or (), start=1)
    fallbacks = tuple(
        Fallback(provider, model, base_url, _opened(key, FALLBACK_KEYS.place(tenant, place), theirs))
        for place, (provider, model, base_url, theirs) in stored
    )
    return Profile(**values, api_key=_opened(key, MODEL_KEYS.place(tenant), sealed), fallbacks=fallbacks)


async def save(scope: Scope, key: Keyring, settled: Profile) -> None:
    """Keeps the tenant's assistant, the provider's key sealed for this tenant alone."""
    place = MODEL_KEYS.place(scope.tenant)
    sealed = None if settled.api_key is None else seal(key, settled.api_key.encode(), place)
    await scope.db.execute(
        _SAVE,
        tenant=scope.tenant,
        brand_name=settled.brand_name,
        tone=settled.tone,
        answer_language=settled.answer_language,
        instructions=settled.instructions,
        provider=settled.provider,
        model=settled.model,
        base_url=settled.base_url,
        api_key_sealed=sealed,
        temperature=settled.temperature,
        max_tokens=settled.max_tokens,
        now=scope.now,
    )
    await scope.db.execute(_DROP_FALLBACKS, tenant=scope.tenant)
    for place, fallback in enumerate(settled.fallbacks, start=1):
        await scope.db.execute(
            _ADD_FALLBACK,
            tenant=scope.tenant, place=place, provider=fallback.provider, model=fallback.model,
            base_url=fallback.base_url, api_key_sealed=_sealed(scope, key, place, fallback.api_key),
        )  # fmt: skip


async def note_failure(scope: Scope, failed: Failed) -> None:
    """Counts a failure of one of the tenant's models."""
    resting_until = scope.now + timedelta(seconds=failed.rests_for) if failed.rests_for else None
    await scope.db.execute(
        _NOTE_FAILURE,
        tenant=scope.tenant, provider=failed.provider, endpoint=failed.endpoint, code=failed.code,
        now=scope.now, resting_until=resting_until,
    )  # fmt: skip


async def health_totals(db: Transaction) -> list[HealthTotal]:
    """Counts failures over all tenants."""
    return [HealthTotal(**row) for row in await db.all("SELECT * FROM model_health_totals()")]


async def health(scope: Scope) -> list[Health]:
    """Reads what is known of the tenant's models that have failed."""
    return [Health(**row) for row in await scope.db.all(_HEALTH, tenant=scope.tenant)]


def _opened(key: Keyring, place: Place, sealed: str | None) -> str | None:
    return None if sealed is None else unseal(key, base64.b64decode(sealed), place).decode()


def _sealed(scope: Scope, key: Keyring, place: int, secret: str | None) -> bytes | None:
    return None if secret is None else seal(key, secret.encode(), FALLBACK_KEYS.place(scope.tenant, place))
