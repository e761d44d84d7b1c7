"""Signing in and out, and one's own password."""

from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post

from metachat.domain import accounts
from metachat.domain.accounts import Grant, Member, Tenant
from metachat.web import access
from metachat.web.api.fields import Email, NewPassword, Password, Slug


class Credentials(msgspec.Struct, frozen=True):
    """Who wants in; tenant is a short name, for those who are members of several."""

    email: Email
    password: Password
    tenant: Slug | None = None


class PasswordChange(msgspec.Struct, frozen=True):
    """The password until now, and the one from now on."""

    current: Password
    new: NewPassword


class Session(msgspec.Struct, frozen=True):
    """Who is signed in; every write sends csrf_token along as X-CSRF-Token."""

    tenant: Tenant
    member: Member
    csrf_token: str


@post("/session", tags=["Session"], security=[{}])
async def sign_in(request: Request[Any, Any, Any], data: Credentials) -> Response[Session]:
    """Sign in.

    Sets the session's cookie. A wrong password and an unknown address look the same.
    """
    signed_in = await access.sign_in(request, data.email, data.password, data.tenant)
    cookie = access.session_cookie(request, signed_in)
    return Response(_session(signed_in.grant), status_code=201, cookies=[cookie])


@get("/session", tags=["Session"])
async def current_session(request: Request[Any, Any, Any]) -> Session:
    """Tell who is signed in."""
    async with access.scope(request):
        return _session(access.grant(request))


@delete("/session", tags=["Session"])
async def sign_out(request: Request[Any, Any, Any]) -> Response[None]:
    """Sign out: end this session."""
    async with access.scope(request) as scope:
        session = access.grant(request).session
        if session is not None:
            await accounts.sign_out(scope, session)
    return Response(None, status_code=204, cookies=[access.no_session_cookie(request)])


@post("/session/password", tags=["Session"], status_code=204)
async def change_password(request: Request[Any, Any, Any], data: PasswordChange) -> None:
    """Change one's own password; all other sessions of yours end."""
    async with access.scope(request):
        grant = access.grant(request)
    member, database = _member(grant), access.platform_of(request).database
    await accounts.check_password(database, member.id, data.current, access.pepper(request))
    hashed = await accounts.new_hash(data.new)
    async with access.scope(request) as scope:
        await accounts.change_password(scope, member.id, hashed, spare=grant.session)


def _session(grant: Grant) -> Session:
    return Session(grant.tenant, _member(grant), grant.csrf_token or "")


def _member(grant: Grant) -> Member:
    if grant.member is None:
        raise accounts.NotAllowed("only people have a session")
    return grant.member


ROUTES = [sign_in, current_session, sign_out, change_password]
