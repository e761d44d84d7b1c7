"""Members and their roles."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, patch, post
from litestar.params import FromPath

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, Member, Role, Welcome
from metachat.foundation.ids import UserId
from metachat.web import access
from metachat.web.api.fields import Cursor, Email, Limit, Line, NewPassword
from metachat.web.api.paging import Page, after_id, page
from metachat.web.api.writing import Rights, allowed, write

_MAY_MANAGE = Rights(Role.ADMIN, ApiScope.ACCOUNT_WRITE)


class NewMember(msgspec.Struct, frozen=True):
    """Who joins; without a password one is made and shown once."""

    email: Email
    role: Role
    name: Line | None = None
    password: NewPassword | None = None


class RoleChange(msgspec.Struct, frozen=True):
    """A member's role from now on."""

    role: Role


@get("/members", tags=["Members"])
async def list_members(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None
) -> Page[Member]:
    """List the members."""
    async with access.scope(request, api_scope=ApiScope.ACCOUNT_READ) as scope:
        members = await accounts.list_members(scope, limit=limit + 1, after=after_id(cursor))
        return page(members, limit, lambda member: str(member.id))


@post("/members", tags=["Members"])
async def add_member(request: Request[Any, Any, Any], data: NewMember) -> Response[Welcome]:
    """Add a member.

    Whoever already has an account keeps their password; for a new one, `password` is shown this once.
    """
    by = (await allowed(request, _MAY_MANAGE)).role
    first = await accounts.hash_first_password(data.password)
    person = (data.email, data.name or "")
    return await write(
        request,
        _MAY_MANAGE,
        lambda scope: accounts.add_member(scope, person, data.role, by=by, first_password=first),
    )


@patch("/members/{id:uuid}", tags=["Members"])
async def change_role(request: Request[Any, Any, Any], id: FromPath[UUID], data: RoleChange) -> Member:
    """Give a member another role; nobody gives or takes a role above their own."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_WRITE) as scope:
        return await accounts.change_role(scope, UserId(id), data.role, by=access.grant(request).role)


@delete("/members/{id:uuid}", tags=["Members"])
async def remove_member(request: Request[Any, Any, Any], id: FromPath[UUID]) -> None:
    """Remove a member; their sessions end at once."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_WRITE) as scope:
        await accounts.remove_member(scope, UserId(id), by=access.grant(request).role)


ROUTES = [list_members, add_member, change_role, remove_member]
