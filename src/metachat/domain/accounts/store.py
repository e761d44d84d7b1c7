"""SQL of accounts. Whoever asks without a tenant sees just the row that their credential reveals."""

from datetime import datetime
from typing import Any
from uuid import UUID

from metachat.domain.accounts.model import ApiKey, ApiScope, AuditEntry, Member, Role, Tenant
from metachat.foundation.db import Transaction
from metachat.foundation.ids import TenantId, UserId

# Goes on as this tenant in the transaction that found out which one it is.
ENTER = "SELECT set_config('metachat.tenant', :tenant, true)"

# Goes on as the one whom this credential (a user's id, a short name) reveals.
SHOW_CREDENTIAL = "SELECT set_config('metachat.credential', :credential, true)"

# Lets the operator of the platform list tenants; nothing but `tenants` knows this setting.
AS_OPERATOR = "SELECT set_config('metachat.operator', 'on', true)"

TENANT = "SELECT tenant_id AS id, slug, name, created_at FROM tenants WHERE tenant_id = :tenant"
TENANT_BY_SLUG = "SELECT tenant_id AS id, slug, name, created_at FROM tenants WHERE slug = :slug"
TENANTS = """
SELECT tenant_id AS id, slug, name, created_at FROM tenants
WHERE :after::uuid IS NULL OR tenant_id > :after ORDER BY tenant_id LIMIT :limit
"""
# The row count says whether the short name was free.
ADD_TENANT = """
INSERT INTO tenants (tenant_id, slug, name, created_at) VALUES (:tenant, :slug, :name, :now)
ON CONFLICT (slug) DO NOTHING
"""
RENAME_TENANT = "UPDATE tenants SET name = :name WHERE tenant_id = :tenant"

USER_BY_EMAIL = "SELECT id, password_hash FROM users WHERE email = :email"
USER_BY_ID = "SELECT id, password_hash FROM users WHERE id = :user"
# The row count says whether the address was new; two invitations at once make one person.
ADD_USER = """
INSERT INTO users (id, email, name, password_hash, created_at) VALUES (:user, :email, :name, :hash, :now)
ON CONFLICT (email) DO NOTHING
"""
SET_PASSWORD = "UPDATE users SET password_hash = :hash WHERE id = :user"  # noqa: S105 - it holds no password

MEMBERSHIPS = """
SELECT t.tenant_id AS id, t.slug, t.name, t.created_at FROM members m JOIN tenants t USING (tenant_id)
WHERE m.user_id = :user ORDER BY m.created_at, m.tenant_id
"""
MEMBER = """
SELECT u.id, u.email, u.name, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id
WHERE m.tenant_id = :tenant AND m.user_id = :user
"""
MEMBERS = """
SELECT u.id, u.email, u.name, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id
WHERE m.tenant_id = :tenant AND (:after::uuid IS NULL OR m.user_id > :after) ORDER BY m.user_id LIMIT :limit
"""
ADD_MEMBER = """
INSERT INTO members (tenant_id, user_id, role, created_at) VALUES (:tenant, :user, :role, :now)
ON CONFLICT (tenant_id, user_id) DO NOTHING
"""
# Locks the owners, so that two of them cannot both leave believing that the other one stays.
OWNERS = """
SELECT user_id FROM members WHERE tenant_id = :tenant AND role = 'owner' ORDER BY user_id FOR UPDATE
"""
SET_ROLE = "UPDATE members SET role = :role WHERE tenant_id = :tenant AND user_id = :user"
REMOVE_MEMBER = "DELETE FROM members WHERE tenant_id = :tenant AND user_id = :user"

SESSION = """
SELECT tenant_id, id, user_id, csrf_token, last_seen_at, pepper_id FROM sessions
WHERE token_hash = :hash AND expires_at > :now AND last_seen_at > :idle_since
"""
ADD_SESSION = """
INSERT INTO sessions (tenant_id, id, user_id, token_hash, pepper_id, csrf_token, created_at, last_seen_at,
  expires_at, ip, user_agent)
VALUES (:tenant, :id, :user, :token_hash, :pepper_id, :csrf_token, :now, :now, :expires_at, :ip, :user_agent)
"""
# Never waits for a request that does the same.
REHASH_SESSION = """
UPDATE sessions SET token_hash = :hash, pepper_id = :pepper_id WHERE tenant_id = :tenant AND id =
  (SELECT id FROM sessions WHERE tenant_id = :tenant AND id = :id FOR UPDATE SKIP LOCKED)
"""
# Never waits for a request that does the same.
TOUCH_SESSION = """
UPDATE sessions SET last_seen_at = :now WHERE tenant_id = :tenant AND id =
  (SELECT id FROM sessions WHERE tenant_id = :tenant AND id = :id FOR UPDATE SKIP LOCKED)
"""
END_SESSION = "DELETE FROM sessions WHERE tenant_id = :tenant AND id = :id"
END_SESSIONS = """
DELETE FROM sessions
WHERE tenant_id = :tenant AND user_id = :user AND (:spare::uuid IS NULL OR id <> :spare)
"""
FORGET_SESSIONS = "DELETE FROM sessions WHERE tenant_id = :tenant AND expires_at < :now"

KEY_BY_HASH = """
SELECT tenant_id, id, scopes, last_used_at, pepper_id FROM api_keys
WHERE key_hash = :hash AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > :now)
"""
ADD_KEY = """
INSERT INTO api_keys (tenant_id, id, name, prefix, last_four, key_hash, pepper_id, scopes, created_by,
  created_at, expires_at)
VALUES (:tenant, :id, :name, :prefix, :last_four, :key_hash, :pepper_id, :scopes, :created_by, :now,
  :expires_at)
"""
_KEY = "id, name, prefix, last_four, scopes, created_at, expires_at, revoked_at, last_used_at"
KEYS = f"""
SELECT {_KEY} FROM api_keys
WHERE tenant_id = :tenant AND (:after::uuid IS NULL OR id < :after) ORDER BY id DESC LIMIT :limit
"""  # noqa: S608 - a constant list of columns
KEY = f"SELECT {_KEY} FROM api_keys WHERE tenant_id = :tenant AND id = :id"  # noqa: S608
# Revoked once: the first time stays on record.
REVOKE_KEY = """
UPDATE api_keys SET revoked_at = coalesce(revoked_at, :now) WHERE tenant_id = :tenant AND id = :id
"""
REHASH_KEY = """
UPDATE api_keys SET key_hash = :hash, pepper_id = :pepper_id WHERE tenant_id = :tenant AND id =
  (SELECT id FROM api_keys WHERE tenant_id = :tenant AND id = :id FOR UPDATE SKIP LOCKED)
"""
TOUCH_KEY = """
UPDATE api_keys SET last_used_at = :now WHERE tenant_id = :tenant AND id =
  (SELECT id FROM api_keys WHERE tenant_id = :tenant AND id = :id FOR UPDATE SKIP LOCKED)
"""

ADD_AUDIT = """
INSERT INTO audit_log (tenant_id, id, at, actor, action, target, detail)
VALUES (:tenant, :id, :at, :actor, :action, :target, :detail)
"""
AUDIT = """
SELECT id, at, actor, action, target, detail FROM audit_log
WHERE tenant_id = :tenant AND (:after::uuid IS NULL OR id < :after) ORDER BY id DESC LIMIT :limit
"""

# Counts a try and tells how many there were in this window: one statement, so that none slips through.
COUNT_TRY = """
INSERT INTO throttles (key, tries, window_ends_at) VALUES (:key, 1, :ends_at)
ON CONFLICT (key) DO UPDATE SET
  tries = CASE WHEN throttles.window_ends_at <= :now THEN 1 ELSE throttles.tries + 1 END,
  window_ends_at = CASE WHEN throttles.window_ends_at <= :now THEN :ends_at ELSE throttles.window_ends_at END
RETURNING tries, window_ends_at
"""
FORGET_TRIES = "DELETE FROM throttles WHERE key = :key"
FORGET_OLD_TRIES = """
DELETE FROM throttles WHERE key IN
  (SELECT key FROM throttles WHERE window_ends_at < :now LIMIT 100 FOR UPDATE SKIP LOCKED)
"""

# One writer at a time per key; the lock ends with the transaction, and so does the answer's absence.
CLAIM_ANSWER = "SELECT pg_try_advisory_xact_lock(hashtextextended(:tenant || '/' || :key, 7))"
ANSWER = """
SELECT request_hash, status, body_sealed FROM idempotency_keys
WHERE tenant_id = :tenant AND key = :key AND created_at > :since
"""
KEEP_ANSWER = """
INSERT INTO idempotency_keys (tenant_id, key, request_hash, status, body_sealed, created_at)
VALUES (:tenant, :key, :request_hash, :status, :body_sealed, :now)
"""
FORGET_ANSWERS = "DELETE FROM idempotency_keys WHERE tenant_id = :tenant AND created_at <= :since"


def as_tenant(row: dict[str, Any]) -> Tenant:
    """Make a tenant of its row."""
    return Tenant(**row)


def as_member(row: dict[str, Any]) -> Member:
    """Make a member of its row."""
    values: dict[str, Any] = {**row, "role": Role(row["role"])}
    return Member(**values)


def as_key(row: dict[str, Any]) -> ApiKey:
    """Make an API key of its row."""
    values: dict[str, Any] = {**row, "scopes": [ApiScope(scope) for scope in row["scopes"]]}
    return ApiKey(**values)


async def enter(db: Transaction, tenant: TenantId) -> None:
    """Go on as this tenant until the transaction ends."""
    await db.value(ENTER, tenant=str(tenant))


async def member(db: Transaction, tenant: TenantId, user: UserId) -> Member | None:
    """Read a member."""
    row = await db.one(MEMBER, tenant=tenant, user=user)
    return None if row is None else as_member(row)


async def tenant(db: Transaction, tenant: TenantId) -> Tenant | None:
    """Read a tenant."""
    row = await db.one(TENANT, tenant=tenant)
    return None if row is None else as_tenant(row)


async def memberships(db: Transaction, user: UserId) -> list[Tenant]:
    """List the tenants a person is a member of, the one joined first before the others."""
    return [as_tenant(row) for row in await db.all(MEMBERSHIPS, user=user)]


async def audit(db: Transaction, tenant: TenantId, limit: int, after: UUID | None) -> list[AuditEntry]:
    """List audit entries, newest first."""
    rows = await db.all(AUDIT, tenant=tenant, limit=limit, after=after)
    return [AuditEntry(**row) for row in rows]


async def count_try(db: Transaction, key: str, now: datetime, ends_at: datetime) -> tuple[int, datetime]:
    """Count a try; returns how many this window saw, and when it ends."""
    row = await db.one(COUNT_TRY, key=key, now=now, ends_at=ends_at)
    assert row is not None
    return row["tries"], row["window_ends_at"]
