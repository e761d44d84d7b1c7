"""Verbs of accounts: tenants, members, API keys, and the trail that privileged actions leave."""

from datetime import datetime
from typing import Any
from uuid import UUID

from metachat.domain.accounts import passwords, store
from metachat.domain.accounts.model import (
    KEY_PREFIX,
    AlreadyMember,
    ApiKey,
    ApiScope,
    AuditEntry,
    BadAccountData,
    IssuedKey,
    KeyNotFound,
    LastOwner,
    Member,
    MemberNotFound,
    NotAllowed,
    Role,
    Tenant,
    TenantNotFound,
    TenantTaken,
    Welcome,
    normal_email,
    normal_slug,
    sound_password,
)
from metachat.foundation import clock, redaction
from metachat.foundation.crypto import new_token, token_hash
from metachat.foundation.db import Database
from metachat.foundation.ids import TenantId, UserId, uuid7
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope


async def create_tenant(database: Database, *, slug: str, name: str, actor: str) -> Tenant:
    """Create a tenant; raises TenantTaken. Only the operator of the platform may: the caller checks."""
    made = Tenant(TenantId(uuid7()), normal_slug(slug), name, clock.now())
    async with database.transaction(tenant=made.id) as db:
        if not await db.execute(
            store.ADD_TENANT, tenant=made.id, slug=made.slug, name=name, now=made.created_at
        ):
            raise TenantTaken(made.slug)
        scope = Scope(tenant=made.id, db=db, now=made.created_at, actor=actor)
        await record_audit(scope, "tenant.created", target=made.slug)
    return made


async def list_tenants(database: Database, *, limit: int, after: UUID | None = None) -> list[Tenant]:
    """List all tenants of the platform; only its operator may: the caller checks."""
    async with database.transaction() as db:
        await db.value(store.AS_OPERATOR)
        return [store.as_tenant(row) for row in await db.all(store.TENANTS, limit=limit, after=after)]


async def find_tenant(database: Database, slug: str) -> Tenant:
    """Find a tenant by its short name; raises TenantNotFound."""
    async with database.transaction(credential=slug) as db:
        row = await db.one(store.TENANT_BY_SLUG, slug=slug)
    if row is None:
        raise TenantNotFound(slug)
    return store.as_tenant(row)


async def own_tenant(scope: Scope) -> Tenant:
    """Read the tenant at hand."""
    found = await store.tenant(scope.db, scope.tenant)
    if found is None:
        raise TenantNotFound()
    return found


async def rename_tenant(scope: Scope, name: str) -> Tenant:
    """Give the tenant another name."""
    await scope.db.execute(store.RENAME_TENANT, tenant=scope.tenant, name=name)
    await record_audit(scope, "tenant.renamed", name=name)
    return await own_tenant(scope)


async def list_members(scope: Scope, *, limit: int, after: UUID | None = None) -> list[Member]:
    """List members, those who joined the platform first before the others."""
    rows = await scope.db.all(store.MEMBERS, tenant=scope.tenant, limit=limit, after=after)
    return [store.as_member(row) for row in rows]


async def find_member(scope: Scope, user: UserId) -> Member:
    """Find a member; raises MemberNotFound."""
    found = await store.member(scope.db, scope.tenant, user)
    if found is None:
        raise MemberNotFound()
    return found


async def hash_first_password(password: str | None) -> tuple[str | None, str]:
    """Hash the password of a new account, or an invented one, which is returned to be shown once.

    Apart from `add_member`, since hashing takes long and a transaction must not wait for it.
    """
    invented = passwords.invent() if password is None else None
    return invented, await passwords.hash_password(invented or sound_password(password or ""))


async def add_member(
    scope: Scope, person: tuple[str, str], role: Role, *, by: Role, first_password: tuple[str | None, str]
) -> Welcome:
    """Make a person (e-mail, name) a member; whoever already has an account keeps their password.

    first_password: what `hash_first_password` made. Raises AlreadyMember, NotAllowed.
    """
    email, name = normal_email(person[0]), person[1]
    _may_give(by, role)
    invented, hashed = first_password
    await scope.db.value(store.SHOW_CREDENTIAL, credential=email)
    fresh = await scope.db.execute(
        store.ADD_USER, user=UserId(uuid7()), email=email, name=name, hash=hashed, now=scope.now
    )
    row = await scope.db.one(store.USER_BY_EMAIL, email=email)
    assert row is not None
    if not await scope.db.execute(
        store.ADD_MEMBER, tenant=scope.tenant, user=row["id"], role=role, now=scope.now
    ):
        raise AlreadyMember()
    await record_audit(scope, "member.added", target=str(row["id"]), role=role)
    return Welcome(await find_member(scope, row["id"]), invented if fresh else None)


async def change_role(scope: Scope, user: UserId, role: Role, *, by: Role) -> Member:
    """Give a member another role, effective with their next request; raises LastOwner, NotAllowed."""
    owners = await _owners(scope)
    before = await find_member(scope, user)
    _may_give(by, role)
    _may_give(by, before.role)
    if role is not Role.OWNER and owners == [user]:
        raise LastOwner()
    await scope.db.execute(store.SET_ROLE, tenant=scope.tenant, user=user, role=role)
    await record_audit(scope, "member.role_changed", target=str(user), was=before.role, now=role)
    return await find_member(scope, user)


async def remove_member(scope: Scope, user: UserId, *, by: Role) -> None:
    """End a membership and its sessions; raises MemberNotFound, LastOwner, NotAllowed."""
    owners = await _owners(scope)
    member = await find_member(scope, user)
    _may_give(by, member.role)
    if owners == [user]:
        raise LastOwner()
    await scope.db.execute(store.REMOVE_MEMBER, tenant=scope.tenant, user=user)
    await record_audit(scope, "member.removed", target=str(user), role=member.role)


async def create_key(
    scope: Scope, name: str, scopes: list[ApiScope], pepper: Keyring, *, expires_at: datetime | None = None
) -> IssuedKey:
    """Make an API key; its secret is in the answer and nowhere else. Raises BadAccountData."""
    if expires_at is not None and expires_at <= scope.now:
        raise BadAccountData("it would expire in the past", field="expires_at")
    if not scopes:
        raise BadAccountData("a key needs at least one scope", field="scopes")
    secret, id = new_token(KEY_PREFIX), uuid7()
    wanted = sorted(set(scopes))
    await scope.db.execute(
        store.ADD_KEY, tenant=scope.tenant, id=id, name=name, prefix=secret[:8], last_four=secret[-4:],
        key_hash=token_hash(secret, pepper.current.value), pepper_id=pepper.current.id, scopes=wanted,
        created_by=scope.member, now=scope.now, expires_at=expires_at,
    )  # fmt: skip
    await record_audit(scope, "api_key.created", target=str(id), name=name, scopes=wanted)
    return IssuedKey(await find_key(scope, id), secret)


async def list_keys(scope: Scope, *, limit: int, after: UUID | None = None) -> list[ApiKey]:
    """List API keys, newest first, with the revoked ones."""
    rows = await scope.db.all(store.KEYS, tenant=scope.tenant, limit=limit, after=after)
    return [store.as_key(row) for row in rows]


async def find_key(scope: Scope, id: UUID) -> ApiKey:
    """Find an API key; raises KeyNotFound."""
    row = await scope.db.one(store.KEY, tenant=scope.tenant, id=id)
    if row is None:
        raise KeyNotFound()
    return store.as_key(row)


async def revoke_key(scope: Scope, id: UUID) -> ApiKey:
    """End an API key at once; raises KeyNotFound."""
    if not await scope.db.execute(store.REVOKE_KEY, tenant=scope.tenant, id=id, now=scope.now):
        raise KeyNotFound()
    await record_audit(scope, "api_key.revoked", target=str(id))
    return await find_key(scope, id)


async def record_audit(scope: Scope, action: str, *, target: str | None = None, **detail: Any) -> None:
    """Leave an audit row for a privileged action, in the transaction of the action."""
    await scope.db.execute(
        store.ADD_AUDIT, tenant=scope.tenant, id=uuid7(), at=scope.now, actor=scope.actor, action=action,
        target=target, detail=redaction.hide_in(detail),
    )  # fmt: skip


async def list_audit(scope: Scope, *, limit: int, after: UUID | None = None) -> list[AuditEntry]:
    """List the audit trail, newest first."""
    return await store.audit(scope.db, scope.tenant, limit, after)


async def _owners(scope: Scope) -> list[UserId]:
    return [row["user_id"] for row in await scope.db.all(store.OWNERS, tenant=scope.tenant)]


def _may_give(by: Role, role: Role) -> None:
    # Nobody gives or takes a role above their own.
    if not by.covers(role):
        raise NotAllowed(f"this takes the role {role.value}", needs=role.value)
