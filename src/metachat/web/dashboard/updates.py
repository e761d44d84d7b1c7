"""Pages of what providers delivered without effect: why, what it was, and having it understood again."""

from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from metachat.domain.accounts import Role
from metachat.domain.channels import updates
from metachat.domain.channels.updates.model import readable
from metachat.web.dashboard.visit import AnyRequest, enter, fields, go, t

_LIST = "/dashboard/updates"
_PAGE = 30
# A page stays readable; the API gives the whole.
_SHOWN = 60_000


@get(_LIST)
async def show_updates(request: AnyRequest) -> Response[str]:
    """List the reasons and the updates, newest first."""
    query = request.query_params
    state = "ignored" if query.get("state") == "ignored" else "unparsed"
    reason, before = query.get("reason", "").replace("\x00", "")[:500], _number(query.get("before"))
    async with enter(request, Role.ADMIN) as visit:
        found = await updates.list_updates(
            visit.scope, limit=_PAGE + 1, state=state, before=before or None, reason=reason or None
        )
        more = found[_PAGE - 1].id if len(found) > _PAGE else 0
        older = f"{_LIST}?{urlencode({'state': state, 'reason': reason, 'before': more})}" if more else ""
        return visit.page(
            "updates/list.html", updates=found[:_PAGE], reasons=await updates.reasons(visit.scope),
            chosen=reason, state=state, older=older,
        )  # fmt: skip


@get(_LIST + "/{number:int}")
async def show_update(request: AnyRequest, number: FromPath[int]) -> Response[str]:
    """Show an update with what was delivered."""
    async with enter(request, Role.ADMIN) as visit:
        update = await updates.find(visit.scope, number)
        payload = readable(update.payload or b"")
        return visit.page(
            "updates/update.html", update=update, payload=payload[:_SHOWN], cut=len(payload) > _SHOWN
        )


@post(_LIST + "/{number:int}/replay", status_code=200, opt={"back": _LIST})
async def replay(request: AnyRequest, number: FromPath[int]) -> Redirect:
    """Have an update understood again."""
    async with enter(request, Role.ADMIN) as visit:
        await updates.replay(visit.scope, number)
    return go(_LIST, t("updates", "replayed_one"))


@post(_LIST + "/replay", status_code=200, opt={"back": _LIST})
async def replay_all(request: AnyRequest) -> Redirect:
    """Have a step of those that were kept for a reason understood again."""
    form = await fields(request)
    async with enter(request, Role.ADMIN) as visit:
        done = await updates.replay_all(visit.scope, form.get("reason", ""))
    said = t("updates", "replayed_more" if done.next_after else "replayed")
    return go(_LIST, said.format(n=done.updates))


def _number(text: str | None) -> int:
    return int(text[:18]) if text is not None and text.isascii() and text.isdecimal() else 0


ROUTES: list[Any] = [show_updates, show_update, replay, replay_all]
