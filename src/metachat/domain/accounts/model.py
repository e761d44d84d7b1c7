"""Accounts: tenants, their members, the keys and sessions that let someone in, and who may do what."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.ids import TenantId, UserId

SESSION_LIFETIME = timedelta(days=7)
SESSION_IDLE = timedelta(hours=12)
TOUCH_AFTER = timedelta(minutes=5)

KEY_PREFIX = "mc_"
SESSION_PREFIX = "mcs_"
SHORTEST_PASSWORD = 10

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Role(StrEnum):
    """What a member may do; each role may all that the ones after it may."""

    OWNER = "owner"
    ADMIN = "admin"
    AGENT = "agent"
    VIEWER = "viewer"

    def covers(self, needed: "Role") -> bool:
        """Tell whether this role may do what `needed` may."""
        return _RANK[self] >= _RANK[needed]


_RANK = {Role.VIEWER: 0, Role.AGENT: 1, Role.ADMIN: 2, Role.OWNER: 3}


class ApiScope(StrEnum):
    """One thing an API key may do."""

    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_WRITE = "knowledge:write"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    CHANNELS_READ = "channels:read"
    CHANNELS_WRITE = "channels:write"
    EVENTS_READ = "events:read"
    ASK = "ask"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A company that uses the platform."""

    id: TenantId
    slug: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a tenant, with the role held there."""

    id: UserId
    email: str
    name: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Welcome:
    """A new member; password is shown this once, and None when the person already had an account."""

    member: Member
    password: str | None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it may be shown: never the key itself."""

    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: list[ApiScope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new API key; the secret is shown this once and stored only as a hash."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One privileged action: who did what to whom."""

    id: UUID
    at: datetime
    actor: str
    action: str
    target: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a credential allows: in which tenant, as whom. member is set for people only."""

    tenant: Tenant
    actor: str
    role: Role
    scopes: frozenset[str] | None = None
    member: Member | None = None
    session: UUID | None = None
    csrf_token: str | None = None

    def allows(self, needs: Role, api_scope: str | None) -> bool:
        """Tell whether it allows what needs a role (people) or a scope (API keys; None: no key does)."""
        if self.scopes is None:
            return self.role.covers(needs)
        return api_scope is not None and api_scope in self.scopes


@dataclass(frozen=True, slots=True)
class SignIn:
    """Someone's try to get in; tenant is a slug, None means the one joined first."""

    email: str
    password: str
    address: str
    user_agent: str = ""
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that began; the token goes into the cookie and is stored only as a hash."""

    token: str
    grant: Grant
    expires_at: datetime


class NotSignedIn(Refusal):
    """Sign in, or send an API key that is valid."""

    code, kind = "not_signed_in", Kind.UNAUTHENTICATED


class KeyRefused(NotSignedIn):
    """This API key is not valid."""

    # The code is the same as without a key: whoever guesses learns nothing.


class WrongCredentials(Refusal):
    """E-mail address or password is wrong."""

    code, kind = "wrong_credentials", Kind.UNAUTHENTICATED


class NotAllowed(Refusal):
    """This needs rights that you do not have."""

    code, kind = "not_allowed", Kind.FORBIDDEN


class TooManyTries(Refusal):
    """Too many tries; wait a little before the next one."""

    code, kind = "too_many_tries", Kind.THROTTLED


class Busy(Refusal):
    """Too many people sign in at this moment; try again in a few seconds."""

    code, kind = "busy", Kind.UNAVAILABLE


class TenantNotFound(Refusal):
    """There is no such tenant."""

    code, kind = "tenant_not_found", Kind.NOT_FOUND


class TenantTaken(Refusal):
    """This short name already belongs to a tenant."""

    code, kind = "tenant_taken", Kind.CONFLICT


class MemberNotFound(Refusal):
    """There is no such member."""

    code, kind = "member_not_found", Kind.NOT_FOUND


class AlreadyMember(Refusal):
    """This person already is a member."""

    code, kind = "already_member", Kind.CONFLICT


class LastOwner(Refusal):
    """A tenant keeps at least one owner; make someone else an owner first."""

    code, kind = "last_owner", Kind.CONFLICT


class KeyNotFound(Refusal):
    """There is no such API key."""

    code, kind = "api_key_not_found", Kind.NOT_FOUND


class BadAccountData(Refusal):
    """What was given for the account is not valid."""

    code, kind = "account_data_invalid", Kind.INVALID


def normal_email(text: str) -> str:
    """Bring an e-mail address into the form it is stored in; raises BadAccountData."""
    email = text.strip().lower()
    if not _EMAIL.fullmatch(email):
        raise BadAccountData("the e-mail address is not valid", field="email")
    return email


def normal_slug(text: str) -> str:
    """Check a tenant's short name; raises BadAccountData."""
    if not _SLUG.fullmatch(text):
        raise BadAccountData("a short name has lower-case letters, digits and dashes", field="slug")
    return text


def sound_password(text: str) -> str:
    """Check that a new password is long enough; raises BadAccountData."""
    if len(text) < SHORTEST_PASSWORD:
        raise BadAccountData(f"a password has at least {SHORTEST_PASSWORD} characters", field="password")
    return text
