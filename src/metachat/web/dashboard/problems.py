"""Errors of the dashboard as pages for people; programs get the problem documents of the API."""

from typing import Any
from urllib.parse import quote

import asyncpg
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from metachat.foundation import redaction
from metachat.foundation.errors import STATUS, Kind, Refusal
from metachat.foundation.log import current, log
from metachat.web import access, pages, problems
from metachat.web.dashboard.visit import chosen_theme, go, t

AnyRequest = Request[Any, Any, Any]

# A refused form goes back to the page that its route names, and the reason is said there.
_GOES_BACK = {Kind.INVALID, Kind.CONFLICT, Kind.TOO_LARGE, Kind.UNSUPPORTED, Kind.THROTTLED}


def from_refusal(request: AnyRequest, refusal: Refusal) -> Response[Any]:
    """Show a refusal: to the sign-in, back to the form's page, or as a page of its own."""
    if not wants_page(request):
        return problems.from_refusal(request, refusal)
    if refusal.kind is Kind.UNAUTHENTICATED:
        return to_sign_in(request)
    back = request.route_handler.opt.get("back")
    if back and refusal.kind in _GOES_BACK:
        return go(str(back), explain(refusal), kind="bad")
    if isinstance(refusal, access.CsrfMissing):
        return show(request, 403, t("problem", "title_csrf"), t("problem", "text_csrf"))
    status = STATUS[refusal.kind]
    title, text = _known(status) or (t("problem", "title_other"), explain(refusal))
    return show(request, status, title, text)


def from_http(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """Show what the framework refused."""
    if not wants_page(request):
        return problems.from_http(request, error)
    title, text = _known(error.status_code) or (t("problem", "title_other"), error.detail)
    return show(request, error.status_code, title, text)


def from_unstorable(request: AnyRequest, error: asyncpg.DataError) -> Response[Any]:
    """Show that something was given which Postgres cannot hold, such as a NUL or a giant number."""
    if not wants_page(request):
        return problems.from_unstorable(request, error)
    return show(request, 422, t("problem", "title_other"), t("problem", "text_unstorable"))


def from_bug(request: AnyRequest, error: Exception) -> Response[Any]:
    """Show what should never happen; the log has the story, the page its number."""
    if not wants_page(request):
        return problems.from_bug(request, error)
    log.error("request failed", path=request.url.path, exc_info=error)
    return show(request, 500, t("problem", "title_500"), t("problem", "text_500"))


def explain(refusal: Refusal) -> str:
    """Tell a person why: the sentence, then the detail."""
    if not refusal.detail:
        return refusal.sentence
    detail = redaction.hide(refusal.detail)
    return f"{refusal.sentence} {detail[:1].upper()}{detail[1:].rstrip('.')}."


def show(request: AnyRequest, status: int, title: str, text: str) -> Response[str]:
    """Show a page that needs no sign-in."""
    request_id = current("request_id") if status >= 500 else None
    theme = chosen_theme(request)
    said = redaction.hide(text)
    return pages.page(
        "problem.html", status=status, theme=theme, title=title, text=said, request_id=request_id
    )


def to_sign_in(request: AnyRequest) -> Response[Any]:
    """Send someone to the sign-in, and from there back to where they wanted to go."""
    wanted = request.url.path if request.method == "GET" else "/dashboard"
    address = f"/sign-in?next={quote(wanted)}"
    if request.headers.get("hx-request"):  # htmx would put the sign-in into the middle of the page
        return Response(None, status_code=401, headers={"HX-Redirect": address})
    return Redirect(address, status_code=303)


def wants_page(request: AnyRequest) -> bool:
    """Tell whether a browser asks for a page, and no program for data."""
    return "text/html" in request.headers.get("accept", "") or bool(request.headers.get("hx-request"))


def _known(status: int) -> tuple[str, str] | None:
    if status not in (403, 404, 500):
        return None
    return t("problem", f"title_{status}"), t("problem", f"text_{status}")


HANDLERS: Any = {
    Refusal: from_refusal,
    HTTPException: from_http,
    asyncpg.DataError: from_unstorable,
    Exception: from_bug,
}
