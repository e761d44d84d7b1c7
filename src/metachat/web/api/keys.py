"""API keys."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath
from msgspec import Meta

from metachat.domain import accounts
from metachat.domain.accounts import ApiKey, ApiScope, IssuedKey, Role
from metachat.foundation import clock
from metachat.web import access
from metachat.web.api.fields import Cursor, Days, Limit, Line
from metachat.web.api.paging import Page, after_id, page
from metachat.web.api.writing import Rights, write


class NewKey(msgspec.Struct, frozen=True):
    """A key to be made; without an end it is valid until it is revoked."""

    name: Line
    scopes: Annotated[list[ApiScope], Meta(min_length=1, max_length=len(ApiScope))]
    expires_in_days: Days | None = None


@get("/api-keys", tags=["API keys"])
async def list_keys(
    request: Request[Any, Any, Any], limit: Limit = 50, cursor: Cursor = None
) -> Page[ApiKey]:
    """List API keys, newest first; never the keys themselves."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_READ) as scope:
        keys = await accounts.list_keys(scope, limit=limit + 1, after=after_id(cursor))
        return page(keys, limit, lambda key: str(key.id))


# No key makes keys: one that leaked could otherwise grow others that outlive it.
@post("/api-keys", tags=["API keys"])
async def create_key(request: Request[Any, Any, Any], data: NewKey) -> Response[IssuedKey]:
    """Make an API key; `secret` is shown this once and stored only as a hash."""
    days, pepper = data.expires_in_days, access.pepper(request)
    end = None if days is None else clock.now() + timedelta(days=days)
    return await write(
        request,
        Rights(Role.ADMIN),
        lambda scope: accounts.create_key(scope, data.name, data.scopes, pepper, expires_at=end),
    )


@delete("/api-keys/{id:uuid}", tags=["API keys"], status_code=200)
async def revoke_key(request: Request[Any, Any, Any], id: FromPath[UUID]) -> ApiKey:
    """Revoke an API key: it ends at once and stays in the list."""
    async with access.scope(request, Role.ADMIN, api_scope=ApiScope.ACCOUNT_WRITE) as scope:
        return await accounts.revoke_key(scope, id)


ROUTES = [list_keys, create_key, revoke_key]
