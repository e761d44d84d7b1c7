"""Who is asking, and for which tenant: the only place in the web that makes a Scope.

People come with a session cookie, programs with an API key, this machine's command line with its token.
"""

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import Cookie

from metachat.domain import accounts
from metachat.domain.accounts import Grant, Role
from metachat.foundation import clock
from metachat.foundation.crypto import same, token_hash
from metachat.foundation.db import Transaction
from metachat.foundation.errors import Kind, Refusal
from metachat.foundation.keyring import Keyring
from metachat.foundation.scope import Scope
from metachat.web import limited

if TYPE_CHECKING:
    from metachat.wiring import Platform

AnyRequest = Request[Any, Any, Any]

# `__Host-` makes browsers insist on HTTPS, on this host alone and on the whole site. Plain HTTP is for
# this machine's own browser, which cannot have such a cookie.
SECURE_COOKIE = "__Host-mc_session"
LOCAL_COOKIE = "mc_session"

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class CrossSite(Refusal):
    """This request came from another site."""

    code, kind = "cross_site", Kind.FORBIDDEN


class CsrfMissing(Refusal):
    """This page is no longer current; load it again and repeat what you did."""

    code, kind = "csrf_token_wrong", Kind.FORBIDDEN


class HttpsRequired(Refusal):
    """Signing in takes HTTPS, or a browser on the machine itself."""

    code, kind = "https_required", Kind.FORBIDDEN


@dataclass(frozen=True, slots=True)
class _Credential:
    """What a request brought along; reveals is what opens the transaction that may look it up."""

    kind: Literal["session", "key", "operator"]
    value: str
    reveals: str


@asynccontextmanager
async def scope(
    request: AnyRequest, needs: Role = Role.VIEWER, *, api_scope: str | None = None
) -> AsyncIterator[Scope]:
    """Open a transaction as whoever asks; raises NotSignedIn, NotAllowed, CrossSite, CsrfMissing.

    needs: what a member's role must cover. api_scope: what an API key must hold; None lets no key in.
    Keep long waits (a body, another service) out of it: it holds a connection to the database.
    """
    platform, credential = platform_of(request), _credential(request)
    csrf_token = await _forgery_checked(request) if credential.kind == "session" else None
    try:
        async with platform.database.transaction(credential=credential.reveals) as db:
            grant = await _resume(request, db, credential)
            _count(request, grant, credential)
            _check_rights(grant, needs, api_scope)
            _check_csrf(request, grant, csrf_token)
            request.state.grant = grant
            member = None if grant.member is None else grant.member.id
            yield Scope(tenant=grant.tenant.id, db=db, now=clock.now(), actor=grant.actor, member=member)
    except accounts.KeyRefused:
        await accounts.count_refusal(platform.database, address(request), pepper(request))
        raise


def grant(request: AnyRequest) -> Grant:
    """Tell who asks: tenant, role, member, CSRF token. Valid inside and after `scope`."""
    found = request.state.grant
    assert isinstance(found, Grant)
    return found


def is_operator(request: AnyRequest) -> bool:
    """Tell whether the operator of the platform asks, from this very machine."""
    token, expected = _bearer(request), platform_of(request).settings.cli_token
    if token is None or expected is None or not same(token, expected.reveal()):
        return False
    return is_loopback(address(request))


def operator_only(request: AnyRequest) -> None:
    """Let only the operator of the platform pass; raises NotSignedIn."""
    if not is_operator(request):
        raise accounts.NotSignedIn()


async def figures_only(request: AnyRequest) -> None:
    """Let only who brings the token of the metrics pass; raises NotSignedIn, TooManyTries.

    Wrong tokens count as tries to sign in do. Right ones don't: whoever measures asks all day.
    """
    token, expected = _bearer(request), platform_of(request).settings.metrics_token
    if token is not None and expected is not None and same(token, expected.reveal()):
        return
    if token is not None:
        await accounts.count_guess(platform_of(request).database, address(request), pepper(request))
    raise accounts.NotSignedIn()


async def sign_in(
    request: AnyRequest, email: str, password: str, tenant: str | None = None
) -> accounts.SignedIn:
    """Begin a session; the answer must set `session_cookie`.

    Raises CrossSite, HttpsRequired, WrongCredentials, TooManyTries, Busy.
    """
    check_same_site(request)
    _check_transport(request)
    attempt = accounts.SignIn(
        email, password, address(request), request.headers.get("user-agent", ""), tenant
    )
    return await accounts.sign_in(platform_of(request).database, attempt, pepper(request))


def session_cookie(request: AnyRequest, signed_in: accounts.SignedIn) -> Cookie:
    """Make the cookie that carries a session."""
    secure = request.url.scheme == "https"
    seconds = int((signed_in.expires_at - clock.now()).total_seconds())
    return Cookie(
        key=SECURE_COOKIE if secure else LOCAL_COOKIE, value=signed_in.token, max_age=seconds, path="/",
        secure=secure, httponly=True, samesite="lax",
    )  # fmt: skip


def no_session_cookie(request: AnyRequest) -> Cookie:
    """Make the cookie that ends a session in the browser."""
    secure = request.url.scheme == "https"
    return Cookie(
        key=SECURE_COOKIE if secure else LOCAL_COOKIE, value="", max_age=0, path="/",
        secure=secure, httponly=True, samesite="lax",
    )  # fmt: skip


def check_same_site(request: AnyRequest) -> None:
    """Refuse what another site's page sent; a client that is no browser says nothing and passes."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CrossSite()
        return
    origin = request.headers.get("origin")
    own = (f"{request.url.scheme}://{request.headers.get('host', '')}", platform_of(request).settings.address)
    if origin is not None and origin not in own:
        raise CrossSite()


def address(request: AnyRequest) -> str:
    """The address of who asks, as the server (or the proxy before it) saw it."""
    return request.client.host if request.client else "unknown"


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this very machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def platform_of(request: AnyRequest) -> "Platform":
    """The platform that this process opened."""
    return request.app.state.platform


def _credential(request: AnyRequest) -> _Credential:
    token = _bearer(request)
    if token is not None:
        if is_operator(request):
            slug = request.headers.get("x-metachat-tenant", "")
            return _Credential("operator", slug, reveals=slug)
        return _Credential("key", token, reveals=token_hash(token, pepper(request).current.value))
    cookie = _session_token(request)
    if cookie is None:
        raise accounts.NotSignedIn()
    return _Credential("session", cookie, reveals=token_hash(cookie, pepper(request).current.value))


async def _resume(request: AnyRequest, db: Transaction, credential: _Credential) -> Grant:
    match credential.kind:
        case "operator":
            return await accounts.resume_operator(db, credential.value)
        case "key":
            return await accounts.resume_key(db, credential.value, pepper(request), clock.now())
        case "session":
            return await accounts.resume(db, credential.value, pepper(request), clock.now())


def _count(request: AnyRequest, grant: Grant, credential: _Credential) -> None:
    """Count a request once, against its API key and its tenant; raises TooFast."""
    standings = limited.standings_of(request.scope)
    if credential.kind == "operator" or getattr(request.state, "counted", False):
        return
    request.state.counted = True
    settings, rates = platform_of(request).settings, platform_of(request).rates
    if credential.kind == "key" and (of_key := limited.of_keys(settings)):
        limited.count(rates, "key", of_key, grant.actor, standings)
    if of_tenant := limited.of_tenants(settings):
        limited.count(rates, "tenant", of_tenant, str(grant.tenant.id), standings)


def _check_rights(grant: Grant, needs: Role, api_scope: str | None) -> None:
    if not grant.allows(needs, api_scope):
        missing = needs.value if grant.scopes is None else api_scope or "a signed-in member"
        raise accounts.NotAllowed(f"this takes: {missing}", needs=missing)


async def _forgery_checked(request: AnyRequest) -> str | None:
    # Before the transaction, since a form's body may come slowly.
    if request.method in _SAFE_METHODS:
        return None
    check_same_site(request)
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        given = (await request.form()).get("csrf_token")
    return given if isinstance(given, str) else None


def _check_csrf(request: AnyRequest, grant: Grant, given: str | None) -> None:
    if grant.csrf_token is None or request.method in _SAFE_METHODS:
        return
    if given is None or not same(given, grant.csrf_token):
        raise CsrfMissing()


def _check_transport(request: AnyRequest) -> None:
    if request.url.scheme != "https" and not is_loopback(_host(request)):
        raise HttpsRequired()


def _session_token(request: AnyRequest) -> str | None:
    if request.url.scheme == "https":
        return request.cookies.get(SECURE_COOKIE)
    return request.cookies.get(LOCAL_COOKIE) if is_loopback(_host(request)) else None


def _host(request: AnyRequest) -> str:
    # What the browser believes to talk to: behind a forwarded port that still is its own machine.
    return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""


def _bearer(request: AnyRequest) -> str | None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" and token.strip() else None


def pepper(request: AnyRequest) -> Keyring:
    """The secrets that tokens and keys are hashed under."""
    return platform_of(request).pepper
