"""The assistants table: one row a tenant that has settled anything."""

from metachat.domain.assistant.model import Profile
from metachat.foundation import crypto
from metachat.foundation.scope import Scope

_PROFILE = """
    SELECT brand_name, tone, answer_language, instructions, provider, model, base_url, api_key_sealed,
           temperature, max_tokens
    FROM assistants WHERE tenant_id = :tenant
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


async def profile(scope: Scope, key: bytes) -> Profile:
    """Reads the tenant's assistant, or the one that everybody starts with; key unseals the provider's key."""
    row = await scope.db.one(_PROFILE, tenant=scope.tenant)
    if row is None:
        return Profile()
    sealed = row.pop("api_key_sealed")
    opened = None if sealed is None else crypto.unseal(key, sealed, _place(scope)).decode()
    return Profile(**row, api_key=opened)


async def save(scope: Scope, key: bytes, settled: Profile) -> None:
    """Keeps the tenant's assistant, the provider's key sealed for this tenant alone."""
    sealed = None if settled.api_key is None else crypto.seal(key, settled.api_key.encode(), _place(scope))
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


def _place(scope: Scope) -> bytes:
    return b"assistants.api_key:" + scope.tenant.bytes
