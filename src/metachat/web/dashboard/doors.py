"""The ways in and out: sign in, sign out, one's own account."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect

from metachat.domain import accounts
from metachat.domain.accounts import BadAccountData, TooManyTries, WrongCredentials
from metachat.foundation.errors import STATUS, Refusal
from metachat.web import access, pages
from metachat.web.dashboard.problems import explain
from metachat.web.dashboard.visit import (
    THEME_COOKIE,
    AnyRequest,
    chosen_theme,
    enter,
    fields,
    go,
    own_path,
    t,
)
from metachat.web.problems import wait_of

_YEAR = 365 * 24 * 3600


@get("/")
async def arrive() -> Redirect:
    """Lead to the dashboard."""
    return Redirect("/dashboard", status_code=303)


@get("/sign-in")
async def show_sign_in(request: AnyRequest) -> Response[str]:
    """Show the sign-in form."""
    notice = t("sign_in", "ended") if request.query_params.get("ended") else ""
    return _form(request, own_path(request.query_params.get("next")), notice=notice)


@post("/sign-in", status_code=200)
async def sign_in(request: AnyRequest) -> Response[Any]:
    """Begin a session."""
    form = await fields(request)
    wanted, email = own_path(form.get("next")), form.get("email", "")
    try:
        signed_in = await access.sign_in(request, email, form.get("password", ""))
    except Refusal as refusal:
        return _form(request, wanted, email=email, refused=refusal)
    response = go(wanted)
    response.set_cookie(access.session_cookie(request, signed_in))
    return response


@post("/sign-out", status_code=200)
async def sign_out(request: AnyRequest) -> Response[Any]:
    """End the session."""
    async with enter(request) as visit:
        assert visit.grant.session is not None, "people come with a session"
        await accounts.sign_out(visit.scope, visit.grant.session)
    response = go("/sign-in?ended=1")
    response.set_cookie(access.no_session_cookie(request))
    return response


@get("/dashboard/account")
async def show_account(request: AnyRequest) -> Response[str]:
    """Show one's own account."""
    async with enter(request) as visit:
        return visit.page("account.html", refused="")


@post("/dashboard/account/password", status_code=200)
async def change_password(request: AnyRequest) -> Response[Any]:
    """Change one's own password."""
    form = await fields(request)
    async with enter(request) as visit:
        person, session = visit.person.id, visit.grant.session
    try:
        database, pepper = access.platform_of(request).database, access.pepper(request)
        await accounts.check_password(database, person, form.get("present", ""), pepper)
        hashed = await accounts.new_hash(form.get("new", ""))
    except (WrongCredentials, BadAccountData, TooManyTries) as refusal:
        return await _account_refused(request, refusal)
    async with enter(request) as visit:
        await accounts.change_password(visit.scope, person, hashed, spare=session)
    return go("/dashboard/account", t("account", "changed"))


@post("/dashboard/theme", status_code=200)
async def choose_theme(request: AnyRequest) -> Response[Any]:
    """Choose light or dark colours, or the system's."""
    form = await fields(request)
    async with enter(request):
        response = go(own_path(form.get("back")))
    theme = form.get("theme", "")
    age = _YEAR if theme in ("light", "dark") else 0
    response.set_cookie(THEME_COOKIE, theme if age else "", path="/", max_age=age, samesite="lax")
    return response


async def _account_refused(request: AnyRequest, refusal: Refusal) -> Response[str]:
    async with enter(request) as visit:
        return visit.page("account.html", status=STATUS[refusal.kind], refused=explain(refusal))


def _form(
    request: AnyRequest, wanted: str, *, email: str = "", notice: str = "", refused: Refusal | None = None
) -> Response[str]:
    form = pages.page(
        "sign_in.html", status=STATUS[refused.kind] if refused else 200, theme=chosen_theme(request),
        next=wanted, email=email, notice=notice, refused=explain(refused) if refused else "",
    )  # fmt: skip
    if isinstance(refused, TooManyTries):
        form.headers["Retry-After"] = wait_of(refused)
    return form


ROUTES = [arrive, show_sign_in, sign_in, sign_out, show_account, change_password, choose_theme]
