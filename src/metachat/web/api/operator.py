"""What the platform's operator does across tenants, from the machine's own command line."""

from typing import Any

import msgspec
from litestar import Request, get, post

from metachat.domain import accounts
from metachat.domain.accounts import Tenant
from metachat.web import access
from metachat.web.api.fields import Cursor, Email, Limit, Line, Slug
from metachat.web.api.paging import Page, after_id, page


class NewTenant(msgspec.Struct, frozen=True):
    """A tenant to be made."""

    slug: Slug
    name: Line


class PasswordReset(msgspec.Struct, frozen=True):
    """Whose password is replaced."""

    email: Email


class NewPasswordShown(msgspec.Struct, frozen=True):
    """A password that was made; shown this once."""

    password: str


@get("/operator/tenants", include_in_schema=False)
async def list_tenants(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None
) -> Page[Tenant]:
    """List all tenants."""
    access.operator_only(request)
    database = access.platform_of(request).database
    tenants = await accounts.list_tenants(database, limit=limit + 1, after=after_id(cursor))
    return page(tenants, limit, lambda tenant: str(tenant.id))


@post("/operator/tenants", include_in_schema=False)
async def create_tenant(request: Request[Any, Any, Any], data: NewTenant) -> Tenant:
    """Create a tenant."""
    access.operator_only(request)
    database = access.platform_of(request).database
    return await accounts.create_tenant(database, slug=data.slug, name=data.name, actor="cli")


@post("/operator/password-resets", include_in_schema=False)
async def reset_password(request: Request[Any, Any, Any], data: PasswordReset) -> NewPasswordShown:
    """Give a person a new password and end their sessions."""
    access.operator_only(request)
    database = access.platform_of(request).database
    return NewPasswordShown(await accounts.reset_password(database, data.email, actor="cli"))


ROUTES = [list_tenants, create_tenant, reset_password]
