"""Pages of API keys."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, Role
from metachat.foundation.errors import Invalid, Refusal
from metachat.web import access
from metachat.web.dashboard.problems import explain
from metachat.web.dashboard.visit import AnyRequest, enter, go, t

_MOST = 200
_LONGEST_DAYS = 3650
_EMPTY = {"name": "", "scopes": ["ask"], "days": "90"}


class NoScope(Invalid):
    """Choose at least one thing that the key may do."""

    code = "no_scope"


class BadExpiry(Invalid):
    """Choose when the key expires."""

    code = "bad_expiry"


@get("/dashboard/keys")
async def show_keys(request: AnyRequest) -> Response[str]:
    """List the keys."""
    async with enter(request, Role.ADMIN) as visit:
        keys = await accounts.list_keys(visit.scope, limit=_MOST)
        return visit.page("keys/list.html", keys=keys, now=visit.scope.now)


@get("/dashboard/keys/new")
async def ask_for_key(request: AnyRequest) -> Response[str]:
    """Show the form for a new key."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("keys/new.html", form=_EMPTY, refused="")


@post("/dashboard/keys", status_code=200)
async def create_key(request: AnyRequest) -> Response[str]:
    """Make a key and show it, this once."""
    form = await _key_form(request)
    try:
        async with enter(request, Role.ADMIN) as visit:
            name, scopes, expires_at = _wanted(form, visit.scope.now)
            pepper = access.pepper(request)
            issued = await accounts.create_key(visit.scope, name, scopes, pepper, expires_at=expires_at)
            address = access.platform_of(request).settings.address
            return visit.page("keys/made.html", issued=issued, address=address)
    except (Invalid, accounts.BadAccountData) as refusal:
        return await _refused(request, form, refusal)


@get("/dashboard/keys/{id:uuid}/revoke")
async def ask_to_revoke(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Ask before a key is revoked."""
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("keys/revoke.html", key=await accounts.find_key(visit.scope, id))


@post("/dashboard/keys/{id:uuid}/revoke", status_code=200, opt={"back": "/dashboard/keys"})
async def revoke_key(request: AnyRequest, id: FromPath[UUID]) -> Response[Any]:
    """Revoke a key."""
    async with enter(request, Role.ADMIN) as visit:
        key = await accounts.revoke_key(visit.scope, id)
    return go("/dashboard/keys", t("keys", "revoked_now").format(name=key.name))


async def _key_form(request: AnyRequest) -> dict[str, Any]:
    form = await request.form()
    return {
        "name": str(form.get("name", "")).strip(),
        "scopes": [str(scope) for scope in form.getall("scopes", [])],
        "days": str(form.get("days", "")),
    }


def _wanted(form: dict[str, Any], now: datetime) -> tuple[str, list[ApiScope], datetime | None]:
    scopes = [scope for scope in ApiScope if scope.value in form["scopes"]]
    if not scopes:
        raise NoScope
    if not form["days"]:
        return form["name"], scopes, None
    if not form["days"].isdecimal() or not 1 <= int(form["days"][:6]) <= _LONGEST_DAYS:
        raise BadExpiry
    return form["name"], scopes, now + timedelta(days=int(form["days"]))


async def _refused(request: AnyRequest, form: dict[str, Any], refusal: Refusal) -> Response[str]:
    async with enter(request, Role.ADMIN) as visit:
        return visit.page("keys/new.html", status=422, form=form, refused=explain(refusal))


ROUTES = [show_keys, ask_for_key, create_key, ask_to_revoke, revoke_key]
