"""Make the demo tenant, its owner, its web chat and its documents, where they are missing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from metachat.domain import accounts, channels, knowledge
from metachat.foundation.scope import open_scope
from metachat.wiring import Platform

DEMO_SLUG = "demo"
OWNER_EMAIL = "owner@demo.example"

_HELP_CENTRE = Path(__file__).parent / "help"
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Seeded:
    """The owner's sign-in; password is None when the owner already had one."""

    email: str
    password: str | None
    documents: int


async def seed(platform: Platform) -> Seeded:
    """Bring the demo tenant to what it should be; running it again changes nothing."""
    tenant = await _tenant(platform)
    password = await _owner(platform, tenant)
    async with open_scope(platform.database, tenant.id, actor="cli") as scope:
        if not await channels.of_tenant(scope):
            await channels.create(scope, "webchat", "Waldläufer shop")
    return Seeded(OWNER_EMAIL, password, await _documents(platform, tenant))


async def _tenant(platform: Platform) -> accounts.Tenant:
    try:
        return await accounts.find_tenant(platform.database, DEMO_SLUG)
    except accounts.TenantNotFound:
        return await accounts.create_tenant(platform.database, slug=DEMO_SLUG, name="Waldläufer", actor="cli")


async def _owner(platform: Platform, tenant: accounts.Tenant) -> str | None:
    first_password = await accounts.hash_first_password(None)
    async with open_scope(platform.database, tenant.id, actor="cli") as scope:
        if await accounts.list_members(scope, limit=1):
            return None
        welcome = await accounts.add_member(
            scope, (OWNER_EMAIL, "Demo owner"), accounts.Role.OWNER,
            by=accounts.Role.OWNER, first_password=first_password,
        )  # fmt: skip
    return welcome.password


async def _documents(platform: Platform, tenant: accounts.Tenant) -> int:
    async with open_scope(platform.database, tenant.id, actor="cli") as scope:
        known = {document.name for document in await knowledge.list_documents(scope, limit=200)}
    missing = [path for path in sorted(_HELP_CENTRE.glob("*/*")) if path.name not in known]
    for path in missing:
        async with open_scope(platform.database, tenant.id, actor="cli") as scope:
            await knowledge.upload(scope, platform.blobs, path.name, _read(path))
    return len(missing)


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_MEBIBYTE):
            yield chunk
