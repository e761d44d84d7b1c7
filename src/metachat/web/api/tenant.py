"""The tenant itself, and the trail that privileged actions leave."""

from typing import Any

import msgspec
from litestar import Request, get, patch

from metachat.domain import accounts
from metachat.domain.accounts import ApiScope, AuditEntry, Role, Tenant
from metachat.web import access
from metachat.web.api.fields import Cursor, Limit, Line
from metachat.web.api.paging import Page, after_id, page


class TenantChange(msgspec.Struct, frozen=True):
    """What may change about a tenant."""

    name: Line


@get("/tenant", tags=["Tenant"])
async def show_tenant(request: Request[Any, Any, Any]) -> Tenant:
    """Show the tenant that you or your key belong to."""
    async with access.scope(request, api_scope=ApiScope.ACCOUNT_READ) as scope:
        return await accounts.own_tenant(scope)


@patch("/tenant", tags=["Tenant"])
async def rename_tenant(request: Request[Any, Any, Any], data: TenantChange) -> Tenant:
    """Rename the tenant."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_WRITE) as scope:
        return await accounts.rename_tenant(scope, data.name)


@get("/audit", tags=["Tenant"])
async def list_audit(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None
) -> Page[AuditEntry]:
    """List privileged actions, newest first."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_READ) as scope:
        entries = await accounts.list_audit(scope, limit=limit + 1, after=after_id(cursor))
        return page(entries, limit, lambda entry: str(entry.id))


ROUTES = [show_tenant, rename_tenant, list_audit]
