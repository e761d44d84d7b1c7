"""Pages of members."""

from typing import Any
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath

from metachat.domain import accounts
from metachat.domain.accounts import BadAccountData, Role
from metachat.foundation.errors import STATUS, Refusal
from metachat.foundation.ids import UserId
from metachat.web import access
from metachat.web.dashboard.problems import explain
from metachat.web.dashboard.visit import AnyRequest, Visit, enter, fields, go, t

_MOST = 500
_BACK = {"back": "/dashboard/members"}


@get("/dashboard/members")
async def show_members(request: AnyRequest) -> Response[str]:
    """List the members."""
    async with enter(request, Role.ADMIN) as visit:
        members = await accounts.list_members(visit.scope, limit=_MOST)
        return visit.page("members/list.html", members=members, roles=_givable(visit), refused="")


@get("/dashboard/members/new")
async def ask_for_member(request: AnyRequest) -> Response[str]:
    """Show the form for a new member."""
    async with enter(request, Role.ADMIN) as visit:
        return _form(visit, {"role": "agent"})


@post("/dashboard/members", status_code=200)
async def add_member(request: AnyRequest) -> Response[str]:
    """Add a member and show their first password, this once."""
    form = await fields(request)
    async with enter(request, Role.ADMIN):
        pass  # nobody else makes us hash, which takes long and must not happen inside a transaction
    try:
        first = await accounts.hash_first_password(form.get("password") or None)
        async with enter(request, Role.ADMIN) as visit:
            person = form.get("email", ""), form.get("name", "").strip()
            welcome = await accounts.add_member(
                visit.scope, person, _role(form), by=visit.role, first_password=first
            )
            address = access.platform_of(request).settings.address
            return visit.page("members/made.html", welcome=welcome, address=address)
    except (BadAccountData, accounts.AlreadyMember, accounts.NotAllowed) as refusal:
        async with enter(request, Role.ADMIN) as visit:
            return _form(visit, form, refusal)


@post("/dashboard/members/{id:uuid}/role", status_code=200, opt=_BACK)
async def change_role(request: AnyRequest, id: FromPath[UUID]) -> Response[Any]:
    """Give a member another role."""
    form = await fields(request)
    async with enter(request, Role.ADMIN) as visit:
        member = await accounts.change_role(visit.scope, UserId(id), _role(form), by=visit.role)
    role = t("roles", member.role.value)
    said = t("members", "role_changed").format(name=member.name or member.email, role=role)
    return go("/dashboard/members", said)


@get("/dashboard/members/{id:uuid}/remove")
async def ask_to_remove(request: AnyRequest, id: FromPath[UUID]) -> Response[str]:
    """Ask before a member is removed."""
    async with enter(request, Role.ADMIN) as visit:
        member = await accounts.find_member(visit.scope, UserId(id))
        return visit.page("members/remove.html", member=member)


@post("/dashboard/members/{id:uuid}/remove", status_code=200, opt=_BACK)
async def remove_member(request: AnyRequest, id: FromPath[UUID]) -> Response[Any]:
    """Remove a member."""
    async with enter(request, Role.ADMIN) as visit:
        member = await accounts.find_member(visit.scope, UserId(id))
        await accounts.remove_member(visit.scope, UserId(id), by=visit.role)
    return go("/dashboard/members", t("members", "removed").format(name=member.name or member.email))


def _givable(visit: Visit) -> list[Role]:
    return [role for role in Role if visit.role.covers(role)]


def _role(form: dict[str, str]) -> Role:
    try:
        return Role(form.get("role", ""))
    except ValueError as error:
        raise BadAccountData("choose a role", field="role") from error


def _form(visit: Visit, form: dict[str, str], refusal: Refusal | None = None) -> Response[str]:
    shown = {"name": "", "email": "", "role": "", **form}
    status, refused = (STATUS[refusal.kind], explain(refusal)) if refusal else (200, "")
    return visit.page("members/new.html", status=status, form=shown, roles=_givable(visit), refused=refused)


ROUTES = [show_members, ask_for_member, add_member, change_role, ask_to_remove, remove_member]
