"""Getting in: sign-in, sessions, API keys as credentials, and the counting that slows down guessing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from metachat.domain.accounts import passwords, store
from metachat.domain.accounts.actions import record_audit
from metachat.domain.accounts.model import (
    SESSION_IDLE,
    SESSION_LIFETIME,
    SESSION_PREFIX,
    TOUCH_AFTER,
    Grant,
    KeyRefused,
    MemberNotFound,
    NotSignedIn,
    Role,
    SignedIn,
    SignIn,
    Tenant,
    TenantNotFound,
    TooManyTries,
    WrongCredentials,
    normal_email,
    sound_password,
)
from metachat.foundation import clock
from metachat.foundation.crypto import new_token, token_hash
from metachat.foundation.db import Database, Transaction
from metachat.foundation.ids import TenantId, UserId, uuid7
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope


@dataclass(frozen=True, slots=True)
class Limit:
    """How many tries a window of time allows."""

    tries: int
    window: timedelta


# An address may be an office behind one router; an account is one person who mistypes.
PER_ACCOUNT = Limit(10, timedelta(minutes=15))
PER_ADDRESS = Limit(50, timedelta(minutes=15))
REFUSED_KEYS = Limit(60, timedelta(minutes=1))


async def sign_in(database: Database, attempt: SignIn, pepper: Keyring) -> SignedIn:
    """Begin a session; raises WrongCredentials, TooManyTries, Busy.

    An unknown address, a wrong password and someone without a tenant look and take the same.
    """
    email = normal_email(attempt.email)
    account, address = _throttle_key("account", email, pepper), _throttle_key("ip", attempt.address, pepper)
    await _count(database, (account, PER_ACCOUNT), (address, PER_ADDRESS))
    async with database.transaction(credential=email) as db:
        user = await db.one(store.USER_BY_EMAIL, email=email)
    # Hashing takes long, so no connection waits for it.
    if (
        not await passwords.matches(None if user is None else user["password_hash"], attempt.password)
        or user is None
    ):
        raise WrongCredentials()
    await _renew_hash(database, user["id"], user["password_hash"], attempt.password)
    async with database.transaction(credential=str(user["id"])) as db:
        tenant = _choose(await store.memberships(db, user["id"]), attempt.tenant)
        await store.enter(db, tenant.id)
        await db.execute(store.FORGET_TRIES, key=account)
        return await _begin(db, tenant, user["id"], attempt, pepper)


async def resume(db: Transaction, token: str, pepper: Keyring, now: datetime) -> Grant:
    """Take up a session by its token and enter its tenant; raises NotSignedIn.

    The transaction was opened with the token's hash, under the secret in use, as its credential.
    """
    row = await _revealed(db, pepper, token, store.SESSION, now=now, idle_since=now - SESSION_IDLE)
    if row is None:
        raise NotSignedIn()
    await store.enter(db, row["tenant_id"])
    await _rehash(db, pepper, token, store.REHASH_SESSION, row)
    grant = await _grant(db, row["tenant_id"], row["user_id"], row["id"], row["csrf_token"])
    if row["last_seen_at"] < now - TOUCH_AFTER:
        await db.execute(store.TOUCH_SESSION, tenant=row["tenant_id"], id=row["id"], now=now)
    return grant


async def resume_key(db: Transaction, secret: str, pepper: Keyring, now: datetime) -> Grant:
    """Take up an API key and enter its tenant; raises KeyRefused.

    The transaction was opened with the key's hash, under the secret in use, as its credential.
    """
    row = await _revealed(db, pepper, secret, store.KEY_BY_HASH, now=now)
    if row is None:
        raise KeyRefused()
    await store.enter(db, row["tenant_id"])
    await _rehash(db, pepper, secret, store.REHASH_KEY, row)
    tenant = await store.tenant(db, row["tenant_id"])
    assert tenant is not None
    if row["last_used_at"] is None or row["last_used_at"] < now - TOUCH_AFTER:
        await db.execute(store.TOUCH_KEY, tenant=tenant.id, id=row["id"], now=now)
    # Keys act for the tenant like an admin within their scopes, and never like an owner.
    return Grant(tenant, f"key:{row['id']}", Role.ADMIN, scopes=frozenset(row["scopes"]))


async def resume_operator(db: Transaction, slug: str) -> Grant:
    """Enter any tenant as the operator of the platform; raises TenantNotFound.

    The transaction was opened with the short name as its credential, and the caller knows the operator.
    """
    row = await db.one(store.TENANT_BY_SLUG, slug=slug)
    if row is None:
        raise TenantNotFound(slug)
    tenant = store.as_tenant(row)
    await store.enter(db, tenant.id)
    return Grant(tenant, "cli", Role.OWNER)


async def count_refusal(database: Database, address: str, pepper: Keyring) -> None:
    """Count a key that was refused; raises TooManyTries when an address brings too many."""
    await _count(database, (_throttle_key("key", address, pepper), REFUSED_KEYS))


async def count_guess(database: Database, address: str, pepper: Keyring) -> None:
    """Count a wrong token like a refused sign-in; raises TooManyTries when an address brings too many."""
    await _count(database, (_throttle_key("ip", address, pepper), PER_ADDRESS))


async def sign_out(scope: Scope, session: UUID) -> None:
    """End a session."""
    await scope.db.execute(store.END_SESSION, tenant=scope.tenant, id=session)


async def end_sessions(scope: Scope, user: UserId, *, spare: UUID | None = None) -> None:
    """End a person's sessions, in every tenant, except the one to spare."""
    await scope.db.value(store.SHOW_CREDENTIAL, credential=str(user))
    for tenant in await store.memberships(scope.db, user):
        await store.enter(scope.db, tenant.id)
        await scope.db.execute(store.END_SESSIONS, tenant=tenant.id, user=user, spare=spare)
    await store.enter(scope.db, scope.tenant)


async def check_password(database: Database, user: UserId, password: str, pepper: Keyring) -> None:
    """Make sure that someone signed in knows their password; raises WrongCredentials, TooManyTries."""
    await _count(database, (_throttle_key("account", str(user), pepper), PER_ACCOUNT))
    async with database.transaction(credential=str(user)) as db:
        row = await db.one(store.USER_BY_ID, user=user)
    if not await passwords.matches(None if row is None else row["password_hash"], password):
        raise WrongCredentials()


async def new_hash(password: str) -> str:
    """Hash a chosen password, before the transaction that stores it; raises BadAccountData."""
    return await passwords.hash_password(sound_password(password))


async def change_password(scope: Scope, user: UserId, hashed: str, *, spare: UUID | None) -> None:
    """Store another password of one's own and end all other sessions."""
    await scope.db.value(store.SHOW_CREDENTIAL, credential=str(user))
    await scope.db.execute(store.SET_PASSWORD, user=user, hash=hashed)
    await end_sessions(scope, user, spare=spare)
    await record_audit(scope, "password.changed", target=str(user))


async def reset_password(database: Database, email: str, *, actor: str) -> str:
    """Give a person a new password, shown once, and end their sessions; only the operator may.

    Raises MemberNotFound. The audit row goes to every tenant that the person belongs to.
    """
    invented = passwords.invent()
    hashed = await passwords.hash_password(invented)
    normal, now = normal_email(email), clock.now()
    async with database.transaction(credential=normal) as db:
        user = await db.one(store.USER_BY_EMAIL, email=normal)
        if user is None:
            raise MemberNotFound()
        await db.execute(store.SET_PASSWORD, user=user["id"], hash=hashed)
        await db.value(store.SHOW_CREDENTIAL, credential=str(user["id"]))
        for tenant in await store.memberships(db, user["id"]):
            await store.enter(db, tenant.id)
            await db.execute(store.END_SESSIONS, tenant=tenant.id, user=user["id"], spare=None)
            scope = Scope(tenant=tenant.id, db=db, now=now, actor=actor)
            await record_audit(scope, "password.reset", target=str(user["id"]))
    return invented


async def _revealed(
    db: Transaction, pepper: Keyring, token: str, sql: str, **values: Any
) -> dict[str, Any] | None:
    """Find the row of a token under each secret that is accepted, the one in use first."""
    for place, hashed in enumerate(pepper.hashes(token)):
        if place:
            await db.value(store.SHOW_CREDENTIAL, credential=hashed)
        row = await db.one(sql, hash=hashed, **values)
        if row is not None:
            return row
    return None


async def _rehash(db: Transaction, pepper: Keyring, token: str, sql: str, row: dict[str, Any]) -> None:
    """Keep a token's hash under the secret in use, so that the older one can be retired."""
    if row["pepper_id"] != pepper.current.id:
        hashed = token_hash(token, pepper.current.value)
        await db.execute(sql, tenant=row["tenant_id"], id=row["id"], hash=hashed, pepper_id=pepper.current.id)


async def _begin(db: Transaction, tenant: Tenant, user: UserId, attempt: SignIn, pepper: Keyring) -> SignedIn:
    token, id, now = new_token(SESSION_PREFIX), uuid7(), clock.now()
    csrf_token, expires_at = new_token(), now + SESSION_LIFETIME
    await db.execute(store.FORGET_SESSIONS, tenant=tenant.id, now=now)
    await db.execute(store.FORGET_OLD_TRIES, now=now)
    await db.execute(
        store.ADD_SESSION, tenant=tenant.id, id=id, user=user, csrf_token=csrf_token,
        token_hash=token_hash(token, pepper.current.value), pepper_id=pepper.current.id, now=now,
        expires_at=expires_at, ip=attempt.address[:64],
        user_agent=attempt.user_agent.replace("\x00", "")[:256],
    )  # fmt: skip
    grant = await _grant(db, tenant.id, user, id, csrf_token)
    scope = Scope(tenant=tenant.id, db=db, now=now, actor=grant.actor, member=user)
    await record_audit(scope, "session.began", target=str(user))
    return SignedIn(token, grant, expires_at)


async def _grant(db: Transaction, tenant_id: TenantId, user: UserId, session: UUID, csrf_token: str) -> Grant:
    tenant, member = await store.tenant(db, tenant_id), await store.member(db, tenant_id, user)
    if tenant is None or member is None:
        raise NotSignedIn()
    return Grant(tenant, f"user:{user}", member.role, member=member, session=session, csrf_token=csrf_token)


def _choose(tenants: list[Tenant], slug: str | None) -> Tenant:
    for tenant in tenants:
        if slug is None or tenant.slug == slug:
            return tenant
    raise WrongCredentials()


async def _renew_hash(database: Database, user: UserId, stored: str, password: str) -> None:
    if not passwords.is_outdated(stored):
        return
    hashed = await passwords.hash_password(password)
    async with database.transaction(credential=str(user)) as db:
        await db.execute(store.SET_PASSWORD, user=user, hash=hashed)


async def _count(database: Database, *counted: tuple[str, Limit]) -> None:
    # In a transaction of its own: a try counts even when what follows is refused and rolled back.
    now = clock.now()
    async with database.transaction() as db:
        ends = [
            (await store.count_try(db, key, now, now + limit.window), limit)
            for key, limit in sorted(counted, key=lambda pair: pair[0])  # one order, so none waits in a ring
        ]
    waits = [ends_at - now for (tries, ends_at), limit in ends if tries > limit.tries]
    if waits:
        raise TooManyTries(retry_after=max(1, round(max(waits).total_seconds())))


def _throttle_key(kind: str, name: str, pepper: Keyring) -> str:
    return token_hash(f"throttle:{kind}:{name}", pepper.current.value)
