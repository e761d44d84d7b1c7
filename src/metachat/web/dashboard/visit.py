"""A visit: somebody signed in who looks at a page, with what every page shows around its content."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from litestar import Request, Response
from litestar.datastructures import Cookie, FormMultiDict, UploadFile
from litestar.response import Redirect

from metachat.domain import accounts, conversations
from metachat.domain.accounts import Grant, Role
from metachat.domain.conversations import Tally
from metachat.foundation.blobs import TooLarge
from metachat.foundation.scope import Scope
from metachat.web import access, pages

AnyRequest = Request[Any, Any, Any]

FLASH_COOKIE = "mc_flash"
THEME_COOKIE = "mc_theme"
_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Flash:
    """A sentence for the next page; kind is "good" or "bad"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks at which page."""

    request: AnyRequest
    scope: Scope
    grant: Grant
    tally: Tally
    flash: Flash | None

    @property
    def tenant(self) -> accounts.Tenant:
        """The company whose pages these are."""
        return self.grant.tenant

    @property
    def person(self) -> accounts.Member:
        """Whoever is signed in."""
        assert self.grant.member is not None, "only people visit pages"
        return self.grant.member

    @property
    def role(self) -> Role:
        """What the person may do."""
        return self.grant.role

    @property
    def csrf(self) -> str:
        """The token that forms send along."""
        return self.grant.csrf_token or ""

    @property
    def path(self) -> str:
        """The address of this page."""
        return self.request.url.path

    @property
    def manages(self) -> bool:
        """Tell whether the person may change knowledge, keys and members."""
        return self.role.covers(Role.ADMIN)

    @property
    def answers(self) -> bool:
        """Tell whether the person may answer customers."""
        return self.role.covers(Role.AGENT)

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response[str]:
        """Render a page of this visit."""
        theme = chosen_theme(self.request)
        response = pages.page(template, status=status, visit=self, theme=theme, **values)
        if self.flash:
            response.set_cookie(_flash_cookie("", seconds=0))
        return response


@asynccontextmanager
async def enter(request: AnyRequest, needs: Role = Role.VIEWER) -> AsyncIterator[Visit]:
    """Open a visit of somebody whose role covers `needs`; API keys have no pages. Raises as access.scope."""
    async with access.scope(request, needs) as scope:
        grant = access.grant(request)
        if grant.member is None:
            raise accounts.NotSignedIn
        yield Visit(request, scope, grant, await conversations.tally(scope), flash_of(request))


def go(path: str, said: str = "", *, kind: str = "good") -> Redirect:
    """Go to a page after something was done, and say there what it was."""
    response = Redirect(path, status_code=303)
    if said:
        response.set_cookie(_flash_cookie(quote(json.dumps([kind, said[:600]])), seconds=60))
    return response


def flash_of(request: AnyRequest) -> Flash | None:
    """Read what the page before wanted to be said; whatever is not of our making says nothing."""
    try:
        kind, text = json.loads(unquote(request.cookies.get(FLASH_COOKIE, "")))
    except (ValueError, TypeError):
        return None
    return Flash("bad" if kind == "bad" else "good", str(text))


def chosen_theme(request: AnyRequest) -> str:
    """Tell which colours were chosen: "light", "dark", or "system"."""
    theme = request.cookies.get(THEME_COOKIE, "")
    return theme if theme in ("light", "dark") else "system"


def own_path(text: str | None) -> str:
    """Give a path of the dashboard to go on at; whatever leads elsewhere becomes the overview."""
    path = text or ""
    inside = path == "/dashboard" or path.startswith("/dashboard/")
    return path if inside and not set(path) & set("\\\r\n") else "/dashboard"


async def form_with_files(request: AnyRequest, needs: Role, limit: int) -> tuple[AnyRequest, FormMultiDict]:
    """Read a form that carries files; gives it with a request whose header carries the form's CSRF token.

    The body, of at most `limit` bytes, is only read for somebody whose role covers `needs`.
    """
    async with access.scope(_altered(request, method="GET"), needs):
        pass
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > limit:
        raise TooLarge(f"more than {limit:,} bytes", limit=limit)
    form = await request.form()
    token = str(form.get("csrf_token") or request.headers.get("x-csrf-token", ""))
    headers = [*request.scope["headers"], (b"x-csrf-token", token.encode())]
    return _altered(request, headers=headers), form


async def pieces(file: UploadFile) -> AsyncIterator[bytes]:
    """A file of a form, piece by piece."""
    while piece := await file.read(_PIECE):
        yield piece


async def fields(request: AnyRequest) -> dict[str, str]:
    """Read a small form; of fields that come twice the last counts."""
    form = await request.form()
    return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def t(section: str, name: str) -> str:
    """Give a string of the pages to a route."""
    text = pages.texts("en")[section][name]
    assert isinstance(text, str)
    return text


def _flash_cookie(value: str, *, seconds: int) -> Cookie:
    return Cookie(key=FLASH_COOKIE, value=value, max_age=seconds, httponly=True, samesite="lax")


def _altered(request: AnyRequest, **changed: Any) -> AnyRequest:
    # Without the framework's notes on the original, which would hide what is changed.
    state = {key: value for key, value in request.scope["state"].items() if not key.startswith("_ls")}
    scope: Any = {**request.scope, **changed, "state": state}
    return Request(scope)
